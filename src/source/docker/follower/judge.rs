//! Whether a follower's lines are wanted, and how they are to be read: asked before the first of them
//! is taken, and again when the container becomes known by another name or in more detail.

use std::sync::Arc;

use super::{End, Follower, Limit};
use crate::record::{Container, Stream};
use crate::select::Verdict;

impl Follower {
    /// Whether there is nothing to be asked before lines are taken.
    pub(in crate::source::docker) fn is_judged(&self) -> bool {
        let seen = self.seen.borrow();
        let same = self.judged.as_ref().is_some_and(|judged| Arc::ptr_eq(judged, &seen.container));
        drop(seen);
        same && self.tracked.is_known(&self.shared)
    }

    /// Learns what has to be known of the container, and why no line of it is to be taken. Of a log
    /// that is read from files it is called once there is something to read, so that a container that
    /// is silent costs no inspection.
    pub(in crate::source::docker) async fn judge(&mut self) -> Option<End> {
        while !self.tracked.is_known(&self.shared)
            && let Err(error) = Box::pin(self.tracked.learn(&self.shared)).await
        {
            tracing::debug!(container = %self.tracked.id, %error, "cannot inspect");
            self.pause().await;
        }
        let container = self.tracked.container();
        if self.judged.is_none() {
            self.ask_container(&container);
        }
        match self.intake.verdict(&container) {
            Verdict::Skip(_) => return Some(End::Unwanted),
            Verdict::Ship(streams) => {
                self.assembler.only(streams.has(Stream::Stdout), streams.has(Stream::Stderr));
            }
            // Everything is known by now.
            Verdict::Unknown => {}
        }
        let keeps = self.shared.settings.keep_carriage_returns;
        self.assembler.strip_carriage_returns(self.tracked.is_terminal() && !keeps);
        self.judged = Some(container);
        None
    }

    // How lines are joined may be said by a variable, which was not known until now.
    fn ask_container(&mut self, container: &Container) {
        let (assembler, problem) = self.intake.assembler(container, self.max_line_bytes);
        self.limit = self.intake.settings(container).rate.map(|rate| Box::new(Limit::new(rate)));
        let mut problems = self.intake.problems(container);
        problems.extend(problem);
        self.tracked.say_problems(&self.shared, &problems);
        self.assembler = assembler;
    }
}
