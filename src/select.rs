//! Which containers a route ships, and what a container may ask for by its labels: pure functions
//! over what is known of a container. Never asks the engine for anything, never ships anything.

mod check;
mod conditions;
mod glob;
mod list;
mod options;
mod rate;
mod rules;
mod settings;
mod shown;
mod verdict;

use crate::record::Container;
use check::Asked;
use conditions::Conditions;
use glob::Glob;
use list::Patterns;

pub use check::{PROJECTS, SERVICES};
pub use options::OPTIONS;
pub use rate::{Bucket, Rate};
pub use rules::{Exclusions, Rules, ShippedDrivers, Terminals};
pub use settings::{Allowed, SETTINGS, Settings};
pub use verdict::{Origin, Outcome, Reason, Step, Streams, Verdict};

/// What a route ships: its own options, and logspout's filters. All that is given has to hold. By
/// default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    name: String,
    opt_in: Option<bool>,
    /// A beginning of the id, in lower case.
    filter_id: Option<String>,
    filter_name: Option<Written<Glob>>,
    filter_labels: Option<Conditions>,
    choices: Vec<Choice>,
    labels: Option<Conditions>,
    streams: Streams,
}

/// A rule, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written<T> {
    text: String,
    rule: T,
}

/// Patterns for one thing that is known of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    option: &'static str,
    field: Field,
    patterns: Written<Patterns>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Id,
    Image,
    Project,
    Service,
    Driver,
}

impl Selection {
    /// The name by which a label chooses the route; empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The streams that are shipped.
    pub fn streams(&self) -> Streams {
        self.streams
    }

    /// Whether the route ships a container. `route` is what the route is called, or empty. What
    /// labels, name or image refuse is refused before an inspection too.
    pub fn verdict(&self, route: &str, container: &Container, rules: &Rules) -> Verdict {
        self.asked(route, container, rules).verdict(self.streams)
    }

    /// The same as if the container had not been inspected.
    pub fn early(&self, route: &str, container: &Container, rules: &Rules) -> Verdict {
        Asked { details: None, ..self.asked(route, container, rules) }.verdict(self.streams)
    }

    /// Every check in the order in which they are made: the first that fails is the reason of the
    /// verdict.
    pub fn explain(&self, route: &str, container: &Container, rules: &Rules) -> Vec<Step> {
        self.asked(route, container, rules).steps()
    }

    fn asked<'a>(
        &'a self,
        route: &'a str,
        container: &'a Container,
        rules: &'a Rules,
    ) -> Asked<'a> {
        let details = container.details.as_deref();
        let settings = Settings::of(container, &rules.allowed);
        Asked { selection: self, route, container, details, rules, settings }
    }
}

#[cfg(test)]
mod tests;
