//! The message that templates are rendered over: a container, and a line of it. Has logspout's
//! fields, those of Docker's `tag` option and those of logspout's module for CloudWatch.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::LazyLock;

use serde_json::json;

use super::{Data, Fault, Layout, Template, Value, Zone};
use crate::record::{Container, Stream, Timestamp};

/// A line of a container; before there is one, its text is empty and its time that of 1970.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// Whose line it is.
    pub container: &'a Container,
    /// Where it was printed.
    pub stream: Stream,
    /// When.
    pub time: Timestamp,
    /// The line without its end.
    pub text: &'a [u8],
    /// In which times are shown.
    pub zone: &'a Zone,
    /// Facility and severity as syslog writes them.
    pub priority: u8,
    /// What is known of the host, beside its name.
    pub surroundings: &'a Surroundings,
    /// Stands in for the inspection of a container that was gone too early; made when it is asked
    /// for.
    pub(crate) known: OnceCell<serde_json::Value>,
}

/// What is known of the host in a cloud; empty where it is not in one.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The region.
    pub region: String,
    /// The instance's id.
    pub instance: String,
}

static NOWHERE: Surroundings = Surroundings { region: String::new(), instance: String::new() };

/// What a template has to know of a container beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Paths into the engine's inspection, by Docker's names; an empty path is all of it.
    pub fields: Vec<Vec<String>>,
    /// Variables of its environment.
    pub variables: Vec<String>,
}

/// RFC 3339 in whole seconds, as logspout writes times.
pub static WHOLE_SECONDS: LazyLock<Layout> =
    LazyLock::new(|| Layout::new("2006-01-02T15:04:05Z07:00"));

/// What depends on the line.
const OF_LINE: [&str; 4] = ["Data", "Time", "Timestamp", "Date"];
/// What depends on the stream, too.
const OF_STREAM: [&str; 3] = ["Source", "Stream", "Priority"];

/// The fields and methods of a message.
pub const NAMES: [&str; 31] = [
    "Container",
    "ContainerName",
    "ContainerNameSplitN",
    "Source",
    "Data",
    "Time",
    "Timestamp",
    "Priority",
    "Hostname",
    "ID",
    "FullID",
    "Name",
    "FullName",
    "ImageID",
    "ImageFullID",
    "ImageName",
    "DaemonName",
    "Command",
    "Host",
    "Env",
    "Labels",
    "Label",
    "Lbl",
    "LoggerHost",
    "DaemonHost",
    "InstanceID",
    "Region",
    "Stream",
    "Date",
    "env",
    "label",
];

impl<'a> Subject<'a> {
    /// A container without a line.
    pub fn of(container: &'a Container) -> Self {
        Self {
            container,
            stream: Stream::Stdout,
            time: Timestamp::default(),
            text: b"",
            zone: &super::zone::UTC,
            priority: 14,
            surroundings: &NOWHERE,
            known: OnceCell::new(),
        }
    }

    /// Compiles a template over messages.
    pub fn template(text: &str) -> Result<Template, Fault> {
        Template::parse(text, Some(&NAMES))
    }

    /// Appends the line's time, RFC 3339 in whole seconds.
    pub fn push_timestamp(&self, out: &mut Vec<u8>) {
        WHOLE_SECONDS.format(self.time, self.zone, out);
    }

    fn inspection(&self) -> &serde_json::Value {
        let details = self.container.details.as_ref();
        let inspection = details.and_then(|details| details.inspection.as_ref());
        inspection.unwrap_or_else(|| self.known.get_or_init(|| known(self.container)))
    }

    fn inspected(&self, path: &str) -> Option<&str> {
        self.inspection().pointer(path)?.as_str()
    }

    fn image_id(&self) -> &str {
        let id = self.inspected("/Image").unwrap_or_default();
        id.strip_prefix("sha256:").unwrap_or(id)
    }

    fn command(&self) -> String {
        let arguments = self.inspection().get("Args").and_then(serde_json::Value::as_array);
        let arguments = arguments.into_iter().flatten().filter_map(serde_json::Value::as_str);
        let words: Vec<_> = self.inspected("/Path").into_iter().chain(arguments).collect();
        words.join(" ")
    }

    fn date(&self) -> String {
        let civil = self.time.civil(0);
        format!("{:04}-{:02}-{:02}", civil.year, civil.month, civil.day)
    }

    fn label(&self, key: &str) -> Option<Value<'_>> {
        self.container.labels.get(key).map(|value| Value::from(value.as_str()))
    }
}

impl Template {
    /// Whether each line has its own.
    pub fn is_of_line(&self) -> bool {
        self.reads(&OF_LINE)
    }

    /// Whether standard output and standard error differ.
    pub fn is_of_stream(&self) -> bool {
        self.reads(&OF_STREAM)
    }

    /// Whether it may read one of these fields of the message.
    pub fn reads(&self, names: &[&str]) -> bool {
        let reads =
            |chain: &Vec<String>| chain.first().is_none_or(|first| names.contains(&first.as_str()));
        self.fields().iter().any(reads)
    }

    /// What has to be known of a container.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        for chain in self.fields() {
            let Some((first, rest)) = chain.split_first() else {
                needs.fields.push(Vec::new());
                continue;
            };
            match first.as_str() {
                "Container" => needs.fields.push(rest.to_vec()),
                "ImageID" | "ImageFullID" => needs.fields.push(path(&["Image"])),
                "Command" => needs.fields.extend([path(&["Path"]), path(&["Args"])]),
                "Host" => needs.fields.push(path(&["Config", "Hostname"])),
                "Env" => needs.variables.extend(rest.first().cloned()),
                _ => {}
            }
        }
        let calls = self.calls().iter().filter(|call| call.name == "env");
        needs.variables.extend(calls.filter_map(|call| call.literal.clone()));
        needs
    }
}

impl Needs {
    /// Takes up what another template needs.
    pub fn add(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.variables.extend(other.variables);
    }
}

// What Docker's names would have shown.
fn known(container: &Container) -> serde_json::Value {
    json!({
        "Id": container.id,
        "Name": format!("/{}", container.name),
        "Image": container.image,
        "Config": {
            "Hostname": container.short_id(),
            "Domainname": "",
            "Image": container.image,
            "Labels": container.labels,
            "Env": [],
            "Cmd": [],
        },
        "State": { "Pid": 0 },
    })
}

impl Data for Subject<'_> {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        let container = self.container;
        Some(match name {
            "Container" => Value::structure(self.inspection()),
            "ContainerName" | "Name" => container.name.as_str().into(),
            "Source" | "Stream" => self.stream.name().into(),
            "Data" => self.text.into(),
            "Time" => Value::Time(self.time, self.zone),
            "Timestamp" => {
                let mut text = Vec::new();
                self.push_timestamp(&mut text);
                text.into()
            }
            "Priority" => Value::Int(self.priority.into()),
            "Hostname" | "LoggerHost" | "DaemonHost" => container.host.as_str().into(),
            "ID" => container.short_id().into(),
            "FullID" => container.id.as_str().into(),
            "FullName" => format!("/{}", container.name).into(),
            "ImageFullID" => self.inspected("/Image").unwrap_or_default().into(),
            "ImageID" => self.image_id().get(..12).unwrap_or(self.image_id()).into(),
            "ImageName" => container.image.as_str().into(),
            "DaemonName" => "docker".into(),
            "Command" => self.command().into(),
            "Host" => self.inspected("/Config/Hostname").unwrap_or(container.short_id()).into(),
            "Env" => Value::Labels(&container.variables),
            "Labels" => Value::Labels(&container.labels),
            "InstanceID" => self.surroundings.instance.as_str().into(),
            "Region" => self.surroundings.region.as_str().into(),
            "Date" => self.date().into(),
            _ => return None,
        })
    }

    // logspout's message.
    fn members(&self) -> Vec<(&str, Value<'_>)> {
        let members = ["Container", "Source", "Data", "Time"];
        members.into_iter().filter_map(|name| Some((name, self.field(name)?))).collect()
    }

    fn method(&self, name: &str, arguments: &[Value<'_>]) -> Option<Result<Value<'_>, String>> {
        match name {
            "env" | "label" | "Lbl" | "Label" => Some(self.lookup(name, arguments)),
            "ContainerNameSplitN" => Some(self.split(arguments)),
            _ => None,
        }
    }
}

impl Subject<'_> {
    fn lookup(&self, name: &str, arguments: &[Value<'_>]) -> Result<Value<'_>, String> {
        let [Value::Text(key)] = arguments else {
            return Err(format!("wrong arguments for {name}: want the name of one"));
        };
        let key = String::from_utf8_lossy(key);
        match name {
            "env" => {
                let value = self.container.variables.get(key.as_ref());
                Ok(value.map_or("", String::as_str).into())
            }
            "label" => Ok(self.label(&key).unwrap_or_else(|| "".into())),
            // As logspout's module for CloudWatch has it.
            _ => self.label(&key).ok_or_else(|| format!("no label {key}")),
        }
    }

    // strings.SplitN
    fn split(&self, arguments: &[Value<'_>]) -> Result<Value<'_>, String> {
        let [Value::Text(separator), Value::Int(most)] = arguments else {
            return Err("wrong arguments for ContainerNameSplitN: want a text and a number".into());
        };
        let separator: Cow<'_, str> = String::from_utf8_lossy(separator);
        let name = self.container.name.as_str();
        let most = usize::try_from(*most).unwrap_or(usize::MAX);
        let parts: Vec<String> = if most == 0 {
            Vec::new()
        } else if separator.is_empty() {
            let mut parts: Vec<String> = name.chars().map(String::from).collect();
            if parts.len() > most {
                let rest = parts.split_off(most - 1).concat();
                parts.push(rest);
            }
            parts
        } else {
            name.splitn(most, separator.as_ref()).map(str::to_owned).collect()
        };
        Ok(Value::list(parts.into_iter().map(Value::from)))
    }
}
