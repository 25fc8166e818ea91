//! From where on a container's log is shipped: what the agent would do at its next start, by the
//! kept positions. Never changes one.

use crate::checkpoint::Snapshot;
use crate::record::Resume;
use crate::source::docker::Settings;

/// What is kept.
#[derive(Debug)]
pub(super) enum Positions {
    /// Nothing, as the operator wants it.
    Off,
    /// This; it may be empty.
    Kept(Snapshot),
    /// The folder cannot be read.
    Unreadable(String),
}

/// From where on, in words, of a container with this id that runs or does not.
pub(super) fn position(
    positions: &Positions,
    destination: &str,
    (id, runs): (&str, bool),
    settings: &Settings,
) -> String {
    let fresh = || match (runs, first(settings)) {
        (true, first) => first,
        (false, first) => format!("nothing while it does not run; once it starts it {first}"),
    };
    let kept = match positions {
        Positions::Off => {
            return format!("no positions are kept (DOWNSPOUT_STATE_DIR=off): {}", fresh());
        }
        Positions::Unreadable(why) => return format!("the positions cannot be read: {why}"),
        Positions::Kept(snapshot) => snapshot.get(destination),
    };
    match kept {
        Some(kept) => match kept.logs.get(id) {
            Some(resume) => resumed(resume),
            None if runs && settings.backlog => first(settings),
            None => format!(
                "begins with what was printed from {} on, when the destination was first shipped to",
                kept.since
            ),
        },
        None => fresh(),
    }
}

fn resumed(resume: &Resume) -> String {
    match (resume.cursor.latest(), resume.floor) {
        (Some(latest), _) => {
            format!("goes on behind the last line that the destination has, of {latest}")
        }
        (None, Some(floor)) => {
            format!("has no line yet, and begins with what was printed from {floor} on")
        }
        (None, None) => "has no line yet, and begins at the beginning of the log".into(),
    }
}

// Of a container that the destination has nothing of, where nothing is kept.
fn first(settings: &Settings) -> String {
    match (settings.backlog, settings.tail) {
        (true, Some(tail)) => format!("begins with the last {tail} records of the log (TAIL)"),
        (true, None) => "begins at the beginning of the log (BACKLOG)".into(),
        (false, _) => {
            "begins with what is printed from the start of the agent on; DOWNSPOUT_BACKLOG=true ships \
             what was printed before it"
                .into()
        }
    }
}
