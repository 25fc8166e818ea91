//! Variables, their files and flags to one draft: which of them wins, what nobody knows.
//! Never asks what a value means.

use std::collections::BTreeMap;
use std::io::Read;

use super::arguments::Arguments;
use super::draft::Draft;
use super::env::Env;
use super::table::{Apply, HTTP, PREFIX, ROUTES, SETTINGS, Setting};
use crate::options::{Problem, closest};

/// Largest file that a `NAME_FILE` variable may name, in bytes: room for thousands of URIs.
const MAX_FILE_BYTES: u64 = 1 << 20;
const FILE: &str = "_FILE";

/// Applies the defaults and then what was given. The second value is everything that is wrong.
pub(super) fn draft(env: &dyn Env, arguments: &Arguments) -> (Draft, Vec<Problem>) {
    let mut draft = Draft::default();
    let mut problems = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
        if let Some(Err(why)) = setting.apply.map(|apply| apply(&mut draft, setting.default)) {
            problems.push(Problem::new(why).of(setting.name));
        }
    }
    for setting in SETTINGS {
        let Some(apply) = setting.apply else { continue };
        match given(setting, env, arguments) {
            Ok(Some(given)) => {
                draft.http_is_given |= setting.name == HTTP;
                problems.extend(given.apply(setting, apply, &mut draft).err());
            }
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    for list in &arguments.routes {
        draft.routes.extend(crate::route::split_list(list).map(str::to_owned));
    }
    problems.extend(unknown(env));
    (draft, problems)
}

/// What was given of the settings, to be shown.
pub(super) fn stated(env: &dyn Env, arguments: &Arguments) -> BTreeMap<&'static str, Stated> {
    let settings = SETTINGS.iter().filter(|setting| setting.apply.is_some());
    settings
        .filter_map(|setting| {
            let given = given(setting, env, arguments).ok().flatten()?;
            Some((setting.name, given.stated(setting)))
        })
        .collect()
}

/// A setting that was given, as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// Its value; that of a secret is not told.
    pub value: String,
    /// Where it stands, such as `variable BACKLOG`.
    pub place: String,
}

// A value and where it stood.
struct Given {
    text: String,
    place: String,
    from_file: bool,
}

impl Given {
    fn stated(self, setting: &Setting) -> Stated {
        let Self { text, place, from_file } = self;
        let kind = match () {
            () if from_file => "file",
            () if place.starts_with('-') => "flag",
            () => "variable",
        };
        let value = if ROUTES.contains(&setting.name) {
            let uris: Vec<_> =
                crate::route::split_list(&text).map(crate::route::redacted).collect();
            uris.join(", ")
        } else if from_file || setting.secret {
            "(not shown)".to_owned()
        } else {
            text
        };
        Stated { value, place: format!("{kind} {place}") }
    }

    fn apply(self, setting: &Setting, apply: Apply, draft: &mut Draft) -> Result<(), Problem> {
        let Err(why) = apply(draft, &self.text) else {
            return Ok(());
        };
        let place = &self.place;
        Err(Problem::new(if self.from_file {
            // The wrong file may be a key: neither it nor words about it are shown.
            let such_as = match setting.default {
                "" => String::new(),
                default => format!(", such as {default}"),
            };
            format!("{place}: what the file holds is wrong; expected {}{such_as}", setting.unit)
        } else if setting.secret {
            format!("{place}: {why}")
        } else {
            format!("{place}={}: {why}", self.text.escape_debug())
        }))
    }
}

// The flag, else the variable, else the content of the file; empty is not given.
fn given(
    setting: &Setting,
    env: &dyn Env,
    arguments: &Arguments,
) -> Result<Option<Given>, Problem> {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let name = setting.name;
    let file_name = format!("{name}{FILE}");
    let (variable, file) = (env.get(name).and_then(some), env.get(&file_name).and_then(some));
    if variable.is_some() && file.is_some() {
        return Err(Problem::new(format!("{name} and {file_name} are both set; keep one of them")));
    }
    if let Some(text) = arguments.flags.get(name).cloned().and_then(some) {
        let place = format!("--{}", setting.flag().unwrap_or_default());
        return Ok(Some(Given { text, place, from_file: false }));
    }
    if ROUTES.contains(&name) && routes_in_arguments(arguments) {
        return Ok(None);
    }
    if let Some(text) = variable {
        return Ok(Some(Given { text, place: name.to_owned(), from_file: false }));
    }
    let Some(path) = file else { return Ok(None) };
    let place = format!("{file_name}={}", path.escape_debug());
    let text = content(&path).map_err(|why| Problem::new(format!("{place}: {why}")))?;
    // Else what it was to protect would be open to everybody.
    if setting.secret && text.is_empty() {
        let why = "the file is empty; write the value into it, or leave the variable out";
        return Err(Problem::new(format!("{place}: {why}")));
    }
    // What is wrong with a route is said with the route, but a key is none.
    if ROUTES.contains(&name)
        && let Some(at) = crate::route::split_list(&text).position(|uri| !uri.contains("://"))
    {
        let example = "syslog+tcp://logs.example.com:514";
        let entry = at + 1;
        return Err(Problem::new(format!(
            "{place}: entry {entry} of the file is no route URI; write one like {example}"
        )));
    }
    Ok(some(text).map(|text| Given { text, place, from_file: true }))
}

fn routes_in_arguments(arguments: &Arguments) -> bool {
    let flag = |name: &&str| arguments.flags.get(*name).is_some_and(|list| !list.is_empty());
    !arguments.routes.is_empty() || ROUTES.iter().any(flag)
}

fn content(path: &str) -> Result<String, String> {
    let cannot =
        |why: std::io::Error| format!("cannot be read ({why}); mount it or correct the path");
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err("holds more than 1MiB, which no setting needs; correct the path".into());
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

fn unknown(env: &dyn Env) -> Vec<Problem> {
    let mut names = env.names();
    names.sort();
    names
        .iter()
        .filter_map(|name| Some((name, name.strip_prefix(PREFIX)?)))
        .filter(|(name, short)| !known(name) && !of_an_orchestrator(short))
        .filter(|(name, _)| env.get(name).is_some_and(|value| !value.is_empty()))
        .map(|(name, short)| {
            let ours = SETTINGS.iter().filter_map(|setting| setting.name.strip_prefix(PREFIX));
            let (base, file) = short.strip_suffix(FILE).map_or((short, ""), |base| (base, FILE));
            let hint = closest(base, ours).map_or_else(
                || "downspout --help lists all".to_owned(),
                |near| format!("did you mean {PREFIX}{near}{file}?"),
            );
            Problem::new(format!("unknown variable {}; {hint}", name.escape_debug()))
        })
        .collect()
}

fn known(name: &str) -> bool {
    let file_of = name.strip_suffix(FILE);
    SETTINGS.iter().any(|setting| {
        setting.name == name || (setting.apply.is_some() && Some(setting.name) == file_of)
    })
}

// Kubernetes sets these for every service of a namespace, also for one that is called downspout.
fn of_an_orchestrator(short: &str) -> bool {
    short == "PORT"
        || ["PORT_", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|start| short.starts_with(start))
}
