//! The engine's replies, reduced to what we use: once from bollard's strict types, once leniently
//! from JSON, where a field that is missing or odd is as good as empty.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerInspectResponse, ContainerSummary, SystemVersion};
use serde_json::Value;

use super::{ApiVersion, Wanted};
use crate::record::Timestamp;

/// Where an engine keeps everything that does not say so (a socket proxy may forbid it).
const DEFAULT_ROOT: &str = "/var/lib/docker";
/// Up to this major release an engine skips compressed rotated files when asked for `since`.
const LAST_SKIPPING_RELEASE: u32 = 20;

/// Who the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its release, e.g. 20.10.24.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api: ApiVersion,
    /// The oldest version of the API that it speaks, if it says so.
    pub oldest_api: Option<ApiVersion>,
    /// The name of its host; `None` if that is not ours to know.
    pub host: Option<String>,
    /// The log driver of containers that name none; `None` if that is not ours to know.
    pub default_driver: Option<String>,
    /// It is Podman, whose logs differ.
    pub podman: bool,
    /// The folder under which it keeps everything, on its host; `None` if that is not ours to know.
    pub root: Option<String>,
}

/// A container in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// As the engine lists it: an id if the tag has moved on.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`, or a word that
    /// only this engine knows.
    pub state: String,
    /// When it was created, in seconds since 1970.
    pub created: i64,
}

/// A container in detail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// The reference it was started from.
    pub image: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Of its environment, what may be seen.
    pub variables: BTreeMap<String, String>,
    /// The reply itself, as far as it is wanted.
    pub inspection: Option<Value>,
    /// With a TTY a log has no frames and one stream.
    pub tty: bool,
    /// Its log driver, e.g. `json-file`.
    pub driver: String,
    /// The log driver's options.
    pub driver_options: BTreeMap<String, String>,
    /// The log file on the engine's host; empty for most drivers.
    pub log_path: String,
    /// As in [`Listed::state`].
    pub state: String,
    /// True also while paused or restarting.
    pub running: bool,
    /// Between two runs under a restart policy.
    pub restarting: bool,
    /// The start of the latest run.
    pub started_at: Option<Timestamp>,
    /// The end of the latest finished run.
    pub finished_at: Option<Timestamp>,
}

impl EngineInfo {
    pub(super) fn typed(reply: &SystemVersion) -> Result<Self, String> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let versions = [&reply.version, &reply.api_version, &reply.min_api_version].map(text);
        let first = reply.components.as_ref().and_then(|components| components.first());
        Self::of(&versions, first.map(|component| component.name.as_str()))
    }

    pub(super) fn lenient(reply: &Value) -> Result<Self, String> {
        let paths = ["/Version", "/ApiVersion", "/MinAPIVersion"];
        let versions = paths.map(|path| text(reply, path).unwrap_or_default());
        Self::of(&versions, text(reply, "/Components/0/Name").as_deref())
    }

    /// `api` is the engine's newest until both have agreed.
    fn of(versions: &[String; 3], component: Option<&str>) -> Result<Self, String> {
        let [version, newest, oldest] = versions;
        Ok(Self {
            version: version.clone(),
            api: newest.parse()?,
            oldest_api: oldest.parse().ok(),
            host: None,
            default_driver: None,
            podman: component == Some("Podman Engine"),
            root: None,
        })
    }

    /// The first number of the release, e.g. 20: before 23 the engine's log reader has faults
    /// (compressed files are skipped with `since`, lines repeat or vanish at rotation).
    pub fn major(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    /// Whether it leaves out compressed rotated files when it is asked for `since`, as all do up to
    /// 20.10.
    pub fn skips_compressed(&self) -> bool {
        self.major().is_none_or(|major| major <= LAST_SKIPPING_RELEASE)
    }

    /// The folder with the files of its containers, on its host.
    pub fn containers(&self) -> PathBuf {
        Path::new(self.root.as_deref().unwrap_or(DEFAULT_ROOT)).join("containers")
    }
}

impl Listed {
    pub(super) fn typed(reply: ContainerSummary) -> Self {
        let names = reply.names.unwrap_or_default();
        Self {
            id: reply.id.unwrap_or_default(),
            name: own_name(names.iter().map(String::as_str)),
            image: reply.image.unwrap_or_default(),
            labels: reply.labels.unwrap_or_default().into_iter().collect(),
            state: reply.state.map(|state| state.to_string()).unwrap_or_default(),
            created: reply.created.unwrap_or_default(),
        }
    }

    pub(super) fn lenient(reply: &Value) -> Self {
        let text = |path| text(reply, path).unwrap_or_default();
        let names = reply.get("Names").and_then(Value::as_array);
        Self {
            id: text("/Id"),
            name: own_name(names.into_iter().flatten().filter_map(Value::as_str)),
            image: text("/Image"),
            labels: texts(reply, "/Labels"),
            state: text("/State"),
            created: reply.get("Created").and_then(Value::as_i64).unwrap_or_default(),
        }
    }
}

impl Inspected {
    pub(super) fn typed(reply: ContainerInspectResponse, wanted: &Wanted) -> Self {
        let value = || serde_json::to_value(&reply).unwrap_or_default();
        let inspection = if wanted.fields.is_empty() { None } else { wanted.reduced(value()) };
        let config = reply.config.unwrap_or_default();
        let state = reply.state.unwrap_or_default();
        let log = reply.host_config.unwrap_or_default().log_config.unwrap_or_default();
        Self {
            id: reply.id.unwrap_or_default(),
            name: without_slash(&reply.name.unwrap_or_default()),
            image: config.image.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            variables: wanted.variables(config.env.iter().flatten().map(String::as_str)),
            inspection,
            tty: config.tty.unwrap_or_default(),
            driver: log.typ.unwrap_or_default(),
            driver_options: log.config.unwrap_or_default().into_iter().collect(),
            log_path: reply.log_path.unwrap_or_default(),
            state: state.status.map(|status| status.to_string()).unwrap_or_default(),
            running: state.running.unwrap_or_default(),
            restarting: state.restarting.unwrap_or_default(),
            started_at: moment(&state.started_at.unwrap_or_default()),
            finished_at: moment(&state.finished_at.unwrap_or_default()),
        }
    }

    pub(super) fn lenient(reply: &Value, wanted: &Wanted) -> Self {
        let text = |path| text(reply, path).unwrap_or_default();
        let flag = |path| reply.pointer(path).and_then(Value::as_bool).unwrap_or_default();
        let environment = reply.pointer("/Config/Env").and_then(Value::as_array);
        let environment = environment.into_iter().flatten();
        Self {
            id: text("/Id"),
            name: without_slash(&text("/Name")),
            image: text("/Config/Image"),
            labels: texts(reply, "/Config/Labels"),
            variables: wanted.variables(environment.filter_map(Value::as_str)),
            inspection: wanted.reduced(reply.clone()),
            tty: flag("/Config/Tty"),
            driver: text("/HostConfig/LogConfig/Type"),
            driver_options: texts(reply, "/HostConfig/LogConfig/Config"),
            log_path: text("/LogPath"),
            state: text("/State/Status"),
            running: flag("/State/Running"),
            restarting: flag("/State/Restarting"),
            started_at: moment(&text("/State/StartedAt")),
            finished_at: moment(&text("/State/FinishedAt")),
        }
    }
}

/// The text at a JSON pointer.
pub(super) fn text(reply: &Value, path: &str) -> Option<String> {
    reply.pointer(path).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn without_slash(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

fn texts(reply: &Value, path: &str) -> BTreeMap<String, String> {
    let fields = reply.pointer(path).and_then(Value::as_object);
    fields
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Legacy links list a container under `/other/alias` too; its own name has the one slash.
fn own_name<'a>(names: impl Iterator<Item = &'a str>) -> String {
    without_slash(names.min_by_key(|name| name.matches('/').count()).unwrap_or_default())
}

/// A moment in an inspection: Docker writes UTC, Podman its own zone. The year 1 means never.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse_zoned(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn listed() -> Value {
        json!({
            "Id": "ab12", "Names": ["/web/db", "/db"], "Image": "postgres:16", "Created": 1_700_000_000,
            "Labels": {"a": "b"}, "State": "running", "Status": "Up 3 minutes",
        })
    }

    fn inspected() -> Value {
        json!({
            "Id": "ab12", "Name": "/db", "LogPath": "/var/lib/docker/x-json.log",
            "Config": {
                "Image": "postgres:16", "Labels": {"a": "b"}, "Tty": true,
                "Env": ["PASSWORD=secret", "LOGSPOUT_STREAM=a=b", "EMPTY"],
            },
            "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
            "State": {
                "Status": "restarting", "Running": true, "Restarting": true,
                "StartedAt": "2026-11-22T22:40:06.063720431Z", "FinishedAt": "0001-01-01T00:00:00Z",
            },
        })
    }

    #[test]
    fn strict_and_lenient_reading_agree() {
        let strict = Listed::typed(serde_json::from_value(listed()).unwrap());
        assert_eq!(strict, Listed::lenient(&listed()));
        assert_eq!((strict.name.as_str(), strict.created), ("db", 1_700_000_000));
        assert_eq!(strict.state, "running");

        let fields = BTreeSet::from([vec!["State".to_owned(), "Status".to_owned()]]);
        let wanted = Wanted { fields, ..Wanted::default() };
        let strict = Inspected::typed(serde_json::from_value(inspected()).unwrap(), &wanted);
        assert_eq!(strict, Inspected::lenient(&inspected(), &wanted));
        assert_eq!(strict.inspection, Some(json!({"State": {"Status": "restarting"}})));
        assert!(strict.tty && strict.running && strict.restarting);
        assert_eq!((strict.driver.as_str(), strict.state.as_str()), ("json-file", "restarting"));
        assert_eq!(strict.driver_options.get("max-size").unwrap(), "1m");
        let known: Vec<_> = strict.variables.iter().collect();
        assert_eq!(known, [(&"LOGSPOUT_STREAM".to_owned(), &"a=b".to_owned())], "no secret");
        assert_eq!(strict.started_at.unwrap().to_string(), "2026-11-22T22:40:06.063720431Z");
        assert_eq!(strict.finished_at, None);

        let version =
            json!({"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"});
        let strict = EngineInfo::typed(&serde_json::from_value(version.clone()).unwrap()).unwrap();
        assert_eq!(strict, EngineInfo::lenient(&version).unwrap());
        assert_eq!((strict.major(), strict.podman), (Some(20), false));
        let version = json!({"Version": "4.3.1", "ApiVersion": "1.41", "MinAPIVersion": "1.24",
            "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]});
        let strict = EngineInfo::typed(&serde_json::from_value(version.clone()).unwrap()).unwrap();
        assert_eq!(strict, EngineInfo::lenient(&version).unwrap());
        assert!(strict.podman);
    }

    #[test]
    fn odd_fields_are_as_good_as_empty() {
        for odd in [json!(null), json!([]), json!({"Id": 7, "Names": null, "Labels": [1]})] {
            assert_eq!(Listed::lenient(&odd), Listed::default());
            assert_eq!(Inspected::lenient(&odd, &Wanted::default()), Inspected::default());
        }
        assert!(EngineInfo::lenient(&json!({})).is_err(), "an engine without an API version");
    }

    #[test]
    fn moments_in_other_zones_are_understood() {
        let utc = moment("2026-11-22T22:40:06.5Z").unwrap();
        assert_eq!(moment("2026-11-23T00:40:06.500+02:00"), Some(utc));
        assert_eq!(moment("2026-11-22T17:10:06.5-05:30"), Some(utc));
        for never in ["", "Z", "0001-01-01T00:00:00Z", "2026-11-22T22:40:06.5", "ääää+02:00"] {
            assert_eq!(moment(never), None, "{never}");
        }
    }
}
