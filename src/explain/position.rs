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

/// From where on, in words.
pub(super) fn position(
    positions: &Positions,
    destination: &str,
    id: &str,
    settings: &Settings,
) -> String {
    let kept = match positions {
        Positions::Off => {
            let begins = first(None, settings);
            return format!("no positions are kept (DOWNSPOUT_STATE_DIR=off): {begins}");
        }
        Positions::Unreadable(why) => return format!("the positions cannot be read: {why}"),
        Positions::Kept(snapshot) => snapshot.get(destination),
    };
    match kept {
        Some(kept) => match kept.logs.get(id) {
            Some(resume) => resumed(resume),
            None => first(Some(kept.since.to_string()), settings),
        },
        None => first(None, settings),
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

// Of a container that the destination has nothing of.
fn first(since: Option<String>, settings: &Settings) -> String {
    match (settings.backlog, settings.tail, since) {
        (true, Some(tail), _) => format!("begins with the last {tail} records of the log (TAIL)"),
        (true, None, _) => "begins at the beginning of the log (BACKLOG)".into(),
        (false, _, Some(since)) => format!(
            "begins with what was printed from {since} on, when the destination was first shipped to"
        ),
        (false, _, None) => {
            "begins with what is printed from the start of the agent on; DOWNSPOUT_BACKLOG=true ships \
             what was printed before it"
                .into()
        }
    }
}
