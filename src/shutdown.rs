//! The two-phase end, and the set that every task lives in. Nothing is detached: the set counts
//! its tasks, and a panic costs one task a restart or its life, never the process.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;

use crate::metrics::TaskMetrics;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Run,
    Drain,
    Quit,
}

/// Tells tasks to end: first sources (`drain`), then everything that is left (`quit`).
#[derive(Debug, Clone)]
pub struct Stop {
    phase: watch::Sender<Phase>,
}

impl Stop {
    /// Nothing is stopping yet.
    pub fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Run) }
    }

    /// Sources stop reading; what was read is still delivered.
    pub fn drain(&self) {
        self.raise(Phase::Drain);
    }

    /// Everything ends now.
    pub fn quit(&self) {
        self.raise(Phase::Quit);
    }

    fn raise(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let rises = *phase < to;
            *phase = to.max(*phase);
            rises
        });
    }

    /// True from the first phase on.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Drain
    }

    /// Waits for the first phase.
    pub async fn draining(&self) {
        self.reached(Phase::Drain).await;
    }

    /// Waits for the second phase.
    pub async fn quitting(&self) {
        self.reached(Phase::Quit).await;
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives in self, so the channel cannot close while this waits.
        let mut receiver = self.phase.subscribe();
        if receiver.wait_for(|now| *now >= phase).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// The set of all tasks of one kind of life: counted, supervised, waited for.
#[derive(Debug, Clone)]
pub struct Tasks {
    alive: watch::Sender<usize>,
    metrics: TaskMetrics,
}

impl Tasks {
    /// An empty set.
    pub fn new(metrics: TaskMetrics) -> Self {
        Self { alive: watch::Sender::new(0), metrics }
    }

    /// Runs `future` to its end. A panic is logged and counted.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let guard = Alive::new(self);
        tokio::spawn(async move {
            let metrics = guard.0.metrics.clone();
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                report_panic(name, &metrics);
            }
            drop(guard);
        });
    }

    /// Runs what `make` returns; after a panic makes it anew, a second later. What must survive
    /// a restart lives outside of the future.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub fn supervise<F>(&self, name: &'static str, mut make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = Alive::new(self);
        tokio::spawn(async move {
            let metrics = guard.0.metrics.clone();
            while AssertUnwindSafe(make()).catch_unwind().await.is_err() {
                report_panic(name, &metrics);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            drop(guard);
        });
    }

    /// Waits until no task is left.
    pub async fn finished(&self) {
        let mut receiver = self.alive.subscribe();
        if receiver.wait_for(|alive| *alive == 0).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tasks alive.
    pub fn alive(&self) -> usize {
        *self.alive.borrow()
    }
}

/// Runs `work`, which blocks, on a thread beside the workers. A panic in it goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels it, which ends the caller too.
            Err(_) => std::future::pending().await,
        },
    }
}

fn report_panic(name: &'static str, metrics: &TaskMetrics) {
    metrics.panics.inc();
    tracing::error!(task = name, "a task panicked: a bug in downspout; please report it");
}

/// Counts a task from before its spawn until its end, however it ends.
struct Alive(Tasks);

impl Alive {
    fn new(tasks: &Tasks) -> Self {
        tasks.alive.send_modify(|alive| *alive += 1);
        tasks.metrics.alive.inc();
        Self(tasks.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.metrics.alive.dec();
        self.0.alive.send_modify(|alive| *alive -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_panic_costs_one_task_and_is_counted() {
        let metrics = Metrics::new();
        let tasks = Tasks::new(metrics.tasks().clone());
        let mut runs = 0;
        let (done, mut waited) = tokio::sync::mpsc::channel(1);
        tasks.supervise("test", move || {
            runs += 1;
            let done = done.clone();
            async move {
                assert!(runs >= 3, "run {runs} fails");
                done.send(runs).await.unwrap();
            }
        });
        assert_eq!(waited.recv().await, Some(3));
        tasks.finished().await;
        assert_eq!(metrics.tasks().panics.get(), 2);
        assert_eq!(tasks.alive(), 0);
    }

    #[tokio::test]
    async fn phases_only_rise() {
        let stop = Stop::new();
        stop.quit();
        stop.drain();
        stop.quitting().await;
        assert!(stop.is_draining());
    }
}
