//! The options of a route that choose its containers and streams. All problems are reported.

use super::conditions::Conditions;
use super::glob::{Glob, Wildcards};
use super::list::{Item, Patterns, bounded, plain};
use super::settings::parse_name;
use super::verdict::Streams;
use super::{Choice, Field, Selection, Written};
use crate::options::{OptionSpec, Options, did_you_mean, parse_flag};

/// Rows of the options that [`Selection::take`] takes.
pub const OPTIONS: &[OptionSpec] = &[
    NAME,
    OPT_IN,
    SELECT_NAME,
    SELECT_ID,
    SELECT_IMAGE,
    SELECT_PROJECT,
    SELECT_SERVICE,
    SELECT_DRIVER,
    SELECT_LABEL,
    SELECT_STREAM,
    FILTER_ID,
    FILTER_NAME,
    FILTER_LABELS,
    FILTER_SOURCES,
];

const NAME: OptionSpec = OptionSpec {
    name: "name",
    default: "",
    unit: "name",
    help: "What the route is called, so that the label downspout.routes can choose it: up to 64 \
           of A-Z, a-z, 0-9, '_', '.' and '-'.",
};
pub(super) const OPT_IN: OptionSpec = OptionSpec {
    name: "opt_in",
    default: "false",
    unit: "true|false",
    help: "Ships only containers that ask for it: by the label downspout.enable=true, or by the \
           route's name in downspout.routes.",
};
const SELECT_NAME: OptionSpec = OptionSpec {
    name: "select.name",
    default: "",
    unit: "patterns with + between",
    help: "Containers by name, such as web*+db+!web-test: any pattern has to match, and none with \
           a ! may. * and ? stand for any characters, a backslash takes the next one as it is.",
};
const SELECT_ID: OptionSpec = OptionSpec {
    name: "select.id",
    default: "",
    unit: "patterns with + between",
    help: "Containers by the beginning of the id.",
};
const SELECT_IMAGE: OptionSpec = OptionSpec {
    name: "select.image",
    default: "",
    unit: "patterns with + between",
    help: "Containers by the image they were started from, such as *nginx:*.",
};
const SELECT_PROJECT: OptionSpec = OptionSpec {
    name: "select.project",
    default: "",
    unit: "patterns with + between",
    help: "Containers by their Compose project or Swarm stack.",
};
const SELECT_SERVICE: OptionSpec = OptionSpec {
    name: "select.service",
    default: "",
    unit: "patterns with + between",
    help: "Containers by their service of Compose or Swarm, or their name in an ECS task.",
};
const SELECT_DRIVER: OptionSpec = OptionSpec {
    name: "select.driver",
    default: "",
    unit: "patterns with + between",
    help: "Containers by log driver, such as json-file+local.",
};
pub(super) const SELECT_LABEL: OptionSpec = OptionSpec {
    name: "select.label",
    default: "",
    unit: "conditions with + between",
    help: "Containers by label: team, !team, team=web* or !team=web*; all of them have to hold.",
};
const SELECT_STREAM: OptionSpec = OptionSpec {
    name: "select.stream",
    default: "stdout+stderr",
    unit: "stdout|stderr",
    help: "Ships one stream of each container only.",
};
pub(super) const FILTER_ID: OptionSpec = OptionSpec {
    name: "filter.id",
    default: "",
    unit: "id",
    help: "As in logspout: the container whose id begins like this.",
};
pub(super) const FILTER_NAME: OptionSpec = OptionSpec {
    name: "filter.name",
    default: "",
    unit: "pattern",
    help: "As in logspout: containers whose name matches a pattern of Go's path.Match.",
};
pub(super) const FILTER_LABELS: OptionSpec = OptionSpec {
    name: "filter.labels",
    default: "",
    unit: "label:pattern with commas between",
    help: "As in logspout: containers of which all these labels match. A label without a pattern \
           has to be there, and so has one with label:*.",
};
const FILTER_SOURCES: OptionSpec = OptionSpec {
    name: "filter.sources",
    default: "stdout,stderr",
    unit: "stdout|stderr|stdout,stderr",
    help: "As in logspout: the streams that are shipped.",
};

const CHOICES: [(OptionSpec, Field); 6] = [
    (SELECT_NAME, Field::Name),
    (SELECT_ID, Field::Id),
    (SELECT_IMAGE, Field::Image),
    (SELECT_PROJECT, Field::Project),
    (SELECT_SERVICE, Field::Service),
    (SELECT_DRIVER, Field::Driver),
];

/// Characters of an id.
const ID_CHARACTERS: usize = 64;

impl Selection {
    /// Takes the options of [`OPTIONS`]. `None` if one of them is wrong: `options` then holds the
    /// problems, all of them.
    pub fn take(options: &mut Options) -> Option<Self> {
        let mut taking = Taking { options, sound: true };
        let mut choices = Vec::new();
        for (spec, field) in &CHOICES {
            let rule = |text: &str| Patterns::parse(text, *field == Field::Id);
            let written = |text: &str| rule(text).map(|rule| Written { text: text.into(), rule });
            let parse = |text: &str| written(text).map_err(|fault| fault.to_string());
            if let Some(patterns) = taking.parsed(spec, parse) {
                choices.push(Choice { option: spec.name, field: *field, patterns });
            }
        }
        let selection = Self {
            name: taking.parsed(&NAME, parse_name).unwrap_or_default(),
            opt_in: taking.parsed(&OPT_IN, parse_flag),
            filter_id: taking.parsed(&FILTER_ID, unless_empty(parse_id)).flatten(),
            filter_name: taking.parsed(&FILTER_NAME, unless_empty(parse_filter_name)).flatten(),
            filter_labels: taking
                .parsed(&FILTER_LABELS, unless_empty(parse_filter_labels))
                .flatten(),
            choices,
            labels: taking.parsed(&SELECT_LABEL, |text| {
                Conditions::of_list(text).map_err(|fault| fault.to_string())
            }),
            streams: taking.streams(),
        };
        taking.sound.then_some(selection)
    }
}

/// Takes options one by one, remembering whether all were right.
struct Taking<'a> {
    options: &'a mut Options,
    sound: bool,
}

impl Taking<'_> {
    fn parsed<T>(
        &mut self,
        spec: &OptionSpec,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.options.is_given(spec);
        let value = self.options.parsed(spec, parse);
        self.sound &= !given || value.is_some();
        value
    }

    fn streams(&mut self) -> Streams {
        let sources = self.parsed(&FILTER_SOURCES, |text| parse_streams(text, ','));
        let streams = self.parsed(&SELECT_STREAM, |text| parse_streams(text, '+'));
        let (one, other) = (sources.unwrap_or_default(), streams.unwrap_or_default());
        let both =
            Streams { stdout: one.stdout && other.stdout, stderr: one.stderr && other.stderr };
        if !both.stdout && !both.stderr {
            self.sound = false;
            self.options.problem(format!(
                "options 'filter.sources={one}' and 'select.stream={other}' together leave no \
                 stream; keep one of them"
            ));
        }
        both
    }
}

// An empty filter is none in logspout, where a variable in the URI may well be unset.
fn unless_empty<T>(
    parse: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn parse_id(text: &str) -> Result<String, String> {
    if let Some(place) = text.chars().position(|character| !character.is_ascii_hexdigit()) {
        let at = place + 1;
        return Err(format!(
            "at character {at}: an id has the characters 0-9 and a-f; for a name, write \
             filter.name="
        ));
    }
    if text.len() > ID_CHARACTERS {
        let at = ID_CHARACTERS + 1;
        return Err(format!("at character {at}: an id has {ID_CHARACTERS} characters at most"));
    }
    Ok(text.to_ascii_lowercase())
}

fn parse_filter_name(text: &str) -> Result<Written<Glob>, String> {
    let glob = Glob::parse(text, Wildcards::Path).map_err(|fault| fault.to_string())?;
    Ok(Written { text: text.to_owned(), rule: glob })
}

fn parse_filter_labels(text: &str) -> Result<Conditions, String> {
    Conditions::of_filter(text).map_err(|fault| fault.to_string())
}

fn parse_streams(text: &str, mark: char) -> Result<Streams, String> {
    let between = format!("stdout, stderr or stdout{mark}stderr, or leave the option out");
    let words = bounded(plain(text, mark), &between).map_err(|fault| fault.to_string())?;
    let mut streams = Streams { stdout: false, stderr: false };
    for Item { before, text } in words {
        match text {
            "stdout" => streams.stdout = true,
            "stderr" => streams.stderr = true,
            _ => {
                let hint = did_you_mean(text, ["stdout", "stderr"].into_iter())
                    .unwrap_or_else(|| format!("expected stdout, stderr or stdout{mark}stderr"));
                return Err(format!(
                    "at character {}: unknown stream '{text}'; {hint}",
                    before + 1
                ));
            }
        }
    }
    Ok(streams)
}
