//! The checks of one container against one route, in the order in which they are made: what the
//! verdict and its explanation are made from, so that the two cannot differ.

use super::conditions::{Condition, Conditions};
use super::list::Miss;
use super::options::{FILTER_ID, FILTER_LABELS, FILTER_NAME, OPT_IN, SELECT_LABEL};
use super::rules::{Rules, ShippedDrivers, Terminals, is_same};
use super::settings::Settings;
use super::verdict::{Origin, Outcome, Reason, Step, Streams, Verdict};
use super::{Choice, Field, Selection};
use crate::record::{Container, Details};

/// The label that keeps a container out whatever the settings are.
const EXCLUDE: &str = "logspout.exclude";
/// The variable of a container that does so, and the value that does.
const LOGSPOUT: (&str, &str) = ("LOGSPOUT", "ignore");
/// Where Compose and Swarm name what a container belongs to.
pub const PROJECTS: [&str; 2] = ["com.docker.compose.project", "com.docker.stack.namespace"];
/// The same of services; of ECS what a task calls it.
pub const SERVICES: [&str; 3] = [
    "com.docker.compose.service",
    "com.docker.swarm.service.name",
    "com.amazonaws.ecs.container-name",
];

/// A container, and what is asked of it.
pub(super) struct Asked<'a> {
    pub(super) selection: &'a Selection,
    pub(super) route: &'a str,
    pub(super) container: &'a Container,
    pub(super) details: Option<&'a Details>,
    pub(super) rules: &'a Rules,
    pub(super) settings: Settings,
}

impl Asked<'_> {
    pub(super) fn verdict(&self, streams: Streams) -> Verdict {
        let mut verdict = Verdict::Ship(streams);
        for step in self.steps() {
            match step.outcome {
                Outcome::Passed => {}
                Outcome::Failed(reason) => return Verdict::Skip(reason),
                Outcome::Unknown => verdict = Verdict::Unknown,
            }
        }
        verdict
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps =
            vec![self.exclusions(), self.exclude(), self.enable(), self.routes(), self.opt_in()];
        steps.extend(self.filters());
        steps.extend(self.selection.choices.iter().map(|choice| self.choice(choice)));
        let labels = self.selection.labels.as_ref();
        steps.extend(labels.map(|labels| self.conditions(SELECT_LABEL.name, labels)));
        steps.extend([self.variable(), self.terminal(), self.driver()]);
        steps
    }

    fn label(&self, label: &str) -> Option<&String> {
        self.container.labels.get(label)
    }

    fn exclusions(&self) -> Step {
        let exclusions = &self.rules.exclusions;
        let found = exclusions.iter().find_map(|exclusion| {
            let value = self.label(exclusion.label()).filter(|value| exclusion.matches(value))?;
            let label = exclusion.label().to_owned();
            Some(Reason::Excluded { by: exclusions.variable(), label, value: value.clone() })
        });
        step(exclusions.variable(), exclusions.text(), Origin::Operator, found)
    }

    fn exclude(&self) -> Step {
        let value = self.label(EXCLUDE);
        let found = value.filter(|value| is_same(value, "true")).map(|value| Reason::Excluded {
            by: EXCLUDE,
            label: EXCLUDE.to_owned(),
            value: value.clone(),
        });
        step(EXCLUDE, value.cloned(), Origin::Container, found)
    }

    fn enable(&self) -> Step {
        let enable = self.settings.enable;
        let found = (enable == Some(false)).then_some(Reason::Disabled);
        step("downspout.enable", enable.map(|on| on.to_string()), Origin::Container, found)
    }

    fn is_named(&self) -> Option<bool> {
        let named = self.settings.routes.as_ref()?;
        Some(named.iter().any(|name| name == self.route))
    }

    fn routes(&self) -> Step {
        let named = self.settings.routes.clone();
        let value = named.as_ref().map(|named| named.join(","));
        let found = named
            .filter(|_| self.is_named() == Some(false))
            .map(|named| Reason::OtherRoutes { named, route: self.route.to_owned() });
        step("downspout.routes", value, Origin::Container, found)
    }

    fn opt_in(&self) -> Step {
        let own = self.selection.opt_in;
        let opt_in = own.unwrap_or(self.rules.opt_in);
        let asks = self.settings.enable == Some(true) || self.is_named() == Some(true);
        let found = (opt_in && !asks).then(|| Reason::NotAsked { route: self.route.to_owned() });
        let origin = if own.is_some() { Origin::Route } else { Origin::Operator };
        step(OPT_IN.name, Some(opt_in.to_string()), origin, found)
    }

    fn filters(&self) -> impl Iterator<Item = Step> {
        let Selection { filter_id, filter_name, filter_labels, .. } = self.selection;
        let unmatched = |option, pattern: &str, what: &str, value: &str| Reason::Unmatched {
            option,
            pattern: pattern.to_owned(),
            what: what.to_owned(),
            values: vec![value.to_owned()],
        };
        let id = filter_id.as_ref().map(|wanted| {
            let id = &self.container.id;
            let found = (!id.starts_with(wanted.as_str()))
                .then(|| unmatched(FILTER_ID.name, wanted, "id", id));
            step(FILTER_ID.name, Some(wanted.clone()), Origin::Route, found)
        });
        let name = filter_name.as_ref().map(|wanted| {
            let name = &self.container.name;
            let found = (!wanted.rule.matches(name))
                .then(|| unmatched(FILTER_NAME.name, &wanted.text, "name", name));
            step(FILTER_NAME.name, Some(wanted.text.clone()), Origin::Route, found)
        });
        let labels =
            filter_labels.as_ref().map(|labels| self.conditions(FILTER_LABELS.name, labels));
        [id, name, labels].into_iter().flatten()
    }

    fn conditions(&self, option: &'static str, conditions: &Conditions) -> Step {
        let broken = conditions.broken(&self.container.labels);
        let found = broken.map(|condition| self.broken(option, condition));
        step(option, Some(conditions.text.clone()), Origin::Route, found)
    }

    fn broken(&self, option: &'static str, condition: &Condition) -> Reason {
        let label = &condition.label;
        let (what, values) = match self.label(label) {
            Some(value) => ("label".to_owned(), vec![format!("{label}={value}")]),
            None => (format!("label {label}"), Vec::new()),
        };
        if condition.negated {
            return Reason::Negated { option, item: condition.text.clone(), what, values };
        }
        Reason::Unmatched { option, pattern: condition.text.clone(), what, values }
    }

    fn choice(&self, choice: &Choice) -> Step {
        let Choice { option, field, patterns } = choice;
        let value = Some(patterns.text.clone());
        let Some(values) = self.values(*field) else {
            let outcome = Outcome::Unknown;
            return Step { setting: option, value, origin: Origin::Route, outcome };
        };
        let (what, owned) =
            (field.name().to_owned(), || values.iter().map(|value| (*value).to_owned()).collect());
        let found = patterns.rule.check(&values).err().map(|miss| match miss {
            Miss::Unmatched => {
                let pattern = patterns.text.clone();
                Reason::Unmatched { option, pattern, what, values: owned() }
            }
            Miss::Excluded(item) => {
                Reason::Negated { option, item: item.to_owned(), what, values: owned() }
            }
        });
        step(option, value, Origin::Route, found)
    }

    /// What a container has of something; `None` if only an inspection would tell.
    fn values(&self, field: Field) -> Option<Vec<&str>> {
        let labels = |names: &[&str]| {
            names.iter().filter_map(|name| self.label(name)).map(String::as_str).collect()
        };
        Some(match field {
            Field::Name => vec![&self.container.name],
            Field::Id => vec![&self.container.id],
            Field::Image => vec![&self.container.image],
            Field::Project => labels(&PROJECTS),
            Field::Service => labels(&SERVICES),
            Field::Driver => vec![&self.details?.driver],
        })
    }

    fn variable(&self) -> Step {
        let (variable, ignore) = LOGSPOUT;
        let value = self.container.variables.get(variable);
        let ignores = value.is_some_and(|value| is_same(value, ignore));
        let found = ignores.then_some(Reason::Ignored);
        // A variable that is not there may be one that nobody has asked for.
        let is_known = ignores || self.details.is_some();
        known(is_known, step(variable, value.cloned(), Origin::Container, found))
    }

    fn terminal(&self) -> Step {
        let ships = self.rules.terminals == Terminals::Ship;
        let has_terminal = self.details.is_some_and(|details| details.tty);
        let found = (!ships && has_terminal).then_some(Reason::Terminal);
        let is_known = ships || self.details.is_some();
        known(is_known, step("ALLOW_TTY", Some(ships.to_string()), Origin::Operator, found))
    }

    fn driver(&self) -> Step {
        let (value, follows) = match self.rules.shipped_drivers {
            ShippedDrivers::Follow => ("follow", true),
            ShippedDrivers::Skip => ("skip", false),
        };
        let driver = self.details.map_or("", |details| &details.driver);
        let found = (!follows && self.rules.shipping.contains(&driver))
            .then(|| Reason::ShipsAlready { driver: driver.to_owned() });
        let setting = "DOWNSPOUT_SHIPPED_DRIVERS";
        let is_known = follows || self.details.is_some();
        known(is_known, step(setting, Some(value.to_owned()), Origin::Operator, found))
    }
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Id => "id",
            Self::Image => "image",
            Self::Project => "project",
            Self::Service => "service",
            Self::Driver => "log driver",
        }
    }
}

fn step(
    setting: &'static str,
    value: Option<String>,
    origin: Origin,
    found: Option<Reason>,
) -> Step {
    let outcome = found.map_or(Outcome::Passed, Outcome::Failed);
    Step { setting, value, origin, outcome }
}

fn known(is_known: bool, step: Step) -> Step {
    if is_known { step } else { Step { outcome: Outcome::Unknown, ..step } }
}
