//! What happens to containers, as the engine tells it.

use std::collections::BTreeMap;

use bollard::models::EventMessage;

use super::reply::without_slash;
use crate::record::Timestamp;

/// What happened. The engine is asked for these only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The container exists; it may be attached to, and its log is empty.
    Create,
    /// A run begins.
    Start,
    /// A run has ended, for whatever reason. Not ordered with the end of the log.
    Die,
    /// The container and its log are gone.
    Destroy,
    /// It has another name; [`Event::name`] is the new one.
    Rename,
    /// Its processes are frozen.
    Pause,
    /// Its processes go on.
    Unpause,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Start,
        Self::Die,
        Self::Destroy,
        Self::Rename,
        Self::Pause,
        Self::Unpause,
    ];

    /// The engine's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Die => "die",
            Self::Destroy => "destroy",
            Self::Rename => "rename",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        // Podman's own words, which some of its releases also give to Docker's clients.
        match word {
            "died" => Some(Self::Die),
            "remove" => Some(Self::Destroy),
            _ => Self::ALL.into_iter().find(|action| action.name() == word),
        }
    }
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub action: Action,
    /// The container's id, 64 hexadecimal digits.
    pub id: String,
    /// When, by the engine's clock. With id and action it identifies the event.
    pub time: Timestamp,
    /// The container's name without the leading slash.
    pub name: String,
    /// The reference it was started from.
    pub image: String,
    /// Its labels. The engine mixes them with facts of its own, and labels named like those
    /// (`name`, `image`, `exitCode`, …) are lost here; an inspection has them.
    pub labels: BTreeMap<String, String>,
}

/// What the engine adds to the labels of a container for the actions above.
const FACTS: [&str; 5] = ["exitCode", "execDuration", "oldName", "signal", "containerExitCode"];

impl Event {
    /// `None` if it is not one of ours.
    pub(super) fn typed(message: EventMessage) -> Option<Self> {
        let action = Action::parse(&message.action?)?;
        let actor = message.actor?;
        let seconds = || message.time.unwrap_or_default().saturating_mul(1_000_000_000);
        let time = Timestamp::from_nanos(message.time_nano.unwrap_or_else(seconds));
        let mut labels: BTreeMap<_, _> = actor.attributes.unwrap_or_default().into_iter().collect();
        let name = without_slash(&labels.remove("name").unwrap_or_default());
        let image = labels.remove("image").unwrap_or_default();
        labels.retain(|key, _| !FACTS.contains(&key.as_str()));
        Some(Self { action, id: actor.id?, time, name, image, labels })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(message: Value) -> Option<Event> {
        Event::typed(serde_json::from_value(message).unwrap())
    }

    #[test]
    fn labels_are_told_from_the_facts_around_them() {
        let event = event(json!({
            "Type": "container", "Action": "die", "scope": "local",
            "Actor": {"ID": "ab12", "Attributes":
                {"name": "web", "image": "nginx:1", "exitCode": "1", "com.x": "y"}},
            "time": 1_700_000_000, "timeNano": 1_700_000_000_123_456_789_i64,
        }))
        .unwrap();
        assert_eq!((event.action, event.id.as_str()), (Action::Die, "ab12"));
        assert_eq!((event.name.as_str(), event.image.as_str()), ("web", "nginx:1"));
        assert_eq!(event.labels, BTreeMap::from([("com.x".to_owned(), "y".to_owned())]));
        assert_eq!(event.time.nanos(), 1_700_000_000_123_456_789);
    }

    #[test]
    fn words_of_podman_are_known_and_others_are_left_out() {
        let of = |action: &str| {
            event(json!({"Action": action, "Actor": {"ID": "x"}, "time": 7}))
                .map(|event| (event.action, event.time.seconds()))
        };
        assert_eq!(of("died"), Some((Action::Die, 7)));
        assert_eq!(of("remove"), Some((Action::Destroy, 7)));
        assert_eq!(of("exec_start: sh"), None);
        for action in Action::ALL {
            assert_eq!(of(action.name()), Some((action, 7)));
        }
    }
}
