//! Which group and stream a line goes to: templates over what is known of its container, made
//! into names that the service takes, whatever a label holds.

use std::sync::Arc;

use crate::record::{Container, NAMING_VARIABLES, Stream, Timestamp};
use crate::store::{StreamName, Varies};
use crate::template::{Needs, Subject, Surroundings, Template};

/// `LogGroupName` and `LogStreamName` (API reference): characters at most.
const NAME_CHARACTERS: usize = 512;

/// Labels by which a container names its stream, where it may.
const STREAM_LABELS: [&str; 2] = ["downspout.stream", "LOGSPOUT_STREAM"];

/// Most bytes that a template makes of a name.
const MOST_BYTES: usize = 4096;

/// What Go prints for an entry that a map does not have.
const NO_VALUE: &str = "<no value>";

/// The templates of a route.
#[derive(Debug, Clone)]
pub(super) struct Names {
    group: Arc<Template>,
    /// `None` for the container's name.
    stream: Option<Arc<Template>>,
    /// What stands before a name that a container chooses; `None` if it may not.
    prefix: Option<String>,
}

impl Names {
    pub(super) fn new(group: Template, stream: Option<Template>, prefix: Option<String>) -> Self {
        Self { group: Arc::new(group), stream: stream.map(Arc::new), prefix }
    }

    /// Whether the instance's id has to be found out.
    pub(super) fn needs_instance(&self) -> bool {
        self.templates().any(|template| template.reads(&["InstanceID"]))
    }

    /// Which properties of a line count.
    pub(super) fn varies(&self) -> Varies {
        Varies {
            by_stream: self.templates().any(Template::is_of_stream),
            by_day: self.templates().any(|template| template.reads(&["Date"])),
        }
    }

    /// What has to be known of a container.
    pub(super) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for template in self.templates() {
            needs.add(template.needs());
        }
        needs
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&*self.group).chain(self.stream.as_deref())
    }

    /// The names of a line's group and stream.
    pub(super) fn of(
        &self,
        container: &Container,
        stream: Stream,
        time: Timestamp,
        surroundings: &Surroundings,
    ) -> StreamName {
        let subject = Subject { stream, time, surroundings, ..Subject::of(container) };
        // Where something is missing, the host: as logspout's module does.
        let group = rendered(&self.group, &subject).unwrap_or_else(|| container.host.clone());
        let name = || Some(container.name.clone()).filter(|name| !name.is_empty());
        let chosen = self.chosen(container);
        let templated = || self.stream.as_ref().and_then(|template| rendered(template, &subject));
        let stream = chosen.or_else(templated).or_else(name).unwrap_or_default();
        StreamName {
            group: sanitized_group(&group),
            stream: sanitized_stream(&stream, container.short_id()),
        }
    }

    fn chosen(&self, container: &Container) -> Option<String> {
        let prefix = self.prefix.as_ref()?;
        let label = STREAM_LABELS.iter().find_map(|label| container.labels.get(*label));
        let variable = || NAMING_VARIABLES.iter().find_map(|name| container.variables.get(*name));
        let name = label.or_else(variable).filter(|name| !name.is_empty())?;
        Some(format!("{prefix}{name}"))
    }
}

// The text; `None` if a part of it is missing, or nothing is left.
fn rendered(template: &Template, subject: &Subject<'_>) -> Option<String> {
    let mut out = Vec::new();
    if let Err(error) = template.render(subject, MOST_BYTES, &mut out) {
        tracing::debug!(container = %subject.container.name, %error, "a name's template failed");
        return None;
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    Some(text).filter(|text| !text.trim().is_empty() && !text.contains(NO_VALUE))
}

// Groups and streams have no name for each line.
fn template(text: &str) -> Result<Template, String> {
    if text.is_empty() {
        return Err(format!("expected 1 to {NAME_CHARACTERS} characters"));
    }
    let template = Subject::template(text).map_err(|fault| fault.to_string())?;
    if template.reads(&["Data", "Time", "Timestamp"]) {
        return Err(
            ".Data, .Time and .Timestamp are other ones for each line, and this is the name of many; \
             .Date is the day"
                .into(),
        );
    }
    Ok(template)
}

/// A template of a group. One that has no fields must be a name that the service takes.
pub(super) fn group(text: &str) -> Result<Template, String> {
    let template = template(text)?;
    let Some(name) = template.constant() else { return Ok(template) };
    if let Some(wrong) = name.chars().find(|c| !of_group(*c)) {
        return Err(format!(
            "'{wrong}' has no place in a log group; letters, digits and . - _ / # have"
        ));
    }
    if name.starts_with("aws/") {
        return Err("log groups that begin with aws/ are the service's own".into());
    }
    length(name).map(|()| template)
}

/// A template of a stream.
pub(super) fn stream(text: &str) -> Result<Template, String> {
    let template = template(text)?;
    let Some(name) = template.constant() else { return Ok(template) };
    if let Some(wrong) = name.chars().find(|c| !of_stream(*c)) {
        return Err(format!("'{wrong}' has no place in a log stream"));
    }
    length(name).map(|()| template)
}

/// What stands before the names that containers choose.
pub(super) fn prefix(text: &str) -> Result<String, String> {
    if let Some(wrong) = text.chars().find(|c| !of_stream(*c)) {
        return Err(format!("'{wrong}' has no place in a log stream"));
    }
    if text.is_empty() || text.chars().count() > NAME_CHARACTERS / 2 {
        return Err("expected 1 to 256 characters".into());
    }
    Ok(text.to_owned())
}

fn length(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS {
        return Err(format!("expected 1 to {NAME_CHARACTERS} characters"));
    }
    Ok(())
}

// LogGroupName: [\.\-_/#A-Za-z0-9]+ (API reference).
fn of_group(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_/#".contains(c)
}

// LogStreamName: [^:*]* (API reference). Control characters would only be there to confuse.
fn of_stream(c: char) -> bool {
    !":*".contains(c) && !c.is_control()
}

fn sanitized_group(name: &str) -> String {
    let name = sanitized(name, of_group, "unnamed");
    match name.strip_prefix("aws/") {
        Some(rest) => format!("aws-{rest}"),
        None => name,
    }
}

fn sanitized_stream(name: &str, id: &str) -> String {
    let instead = sanitized(id, of_stream, "unnamed");
    sanitized(name, of_stream, &instead)
}

// Replaced, not removed: two names that differ stay different more often.
fn sanitized(name: &str, allowed: impl Fn(char) -> bool, instead: &str) -> String {
    let fit = |c| if allowed(c) { c } else { '-' };
    let name: String = name.trim().chars().map(fit).take(NAME_CHARACTERS).collect();
    if name.is_empty() { instead.to_owned() } else { name }
}

/// Whether a word is a region's name: `eu-west-1`, `us-gov-east-1`, `eusc-de-east-1`.
pub(super) fn is_region(word: &str) -> bool {
    let parts: Vec<_> = word.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let lower = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    (2..=4).contains(&words.len())
        && words.iter().all(lower)
        && !number.is_empty()
        && number.len() <= 2
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn container(name: &str, labels: &[(&str, &str)]) -> Container {
        Container {
            id: "0123456789abcdef0123".into(),
            name: name.into(),
            image: "img/app:1".into(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            host: "node7".into(),
            ..Container::default()
        }
    }

    fn names(group_text: &str, stream_text: Option<&str>, prefix: Option<&str>) -> Names {
        let stream = stream_text.map(|text| stream(text).unwrap());
        Names::new(group(group_text).unwrap(), stream, prefix.map(str::to_owned))
    }

    fn named(names: &Names, container: &Container) -> (String, String) {
        let surroundings = Surroundings { region: "eu-west-1".into(), instance: "i-1".into() };
        let time = Timestamp::parse(b"2026-11-23T10:00:00Z").unwrap();
        let StreamName { group, stream } = names.of(container, Stream::Stderr, time, &surroundings);
        (group, stream)
    }

    #[test]
    fn fields_become_names_and_what_is_missing_falls_back() {
        let mut web = container("web", &[("com.docker.compose.service", "front end")]);
        web.variables.insert("APP".into(), "shop".into());
        for (group, stream, expected) in [
            ("g", None, ("g", "web")),
            ("/app/{{.LoggerHost}}", Some("{{.Name}}/{{.ID}}"), ("/app/node7", "web/0123456789ab")),
            (
                "{{.Region}}-{{ .InstanceID }}",
                Some("{{.Stream}}-{{.Date}}"),
                ("eu-west-1-i-1", "stderr-2026-11-23"),
            ),
            ("g", Some("{{.ImageName}}"), ("g", "img/app-1")),
            (
                "{{.Label \"com.docker.compose.service\"}}",
                Some("{{.Lbl \"none\"}}x"),
                ("front-end", "web"),
            ),
            ("{{index .Labels \"none\"}}", Some("{{.FullID}}"), ("node7", "0123456789abcdef0123")),
            ("{{.Labels.none}}", Some("{{.Env.APP}}-{{.Env.NONE}}"), ("node7", "web")),
            (
                "{{env \"APP\"}}",
                Some("{{if .Env.NONE}}a{{else}}{{upper .Name}}{{end}}"),
                ("shop", "WEB"),
            ),
            (
                "{{.Host}}",
                Some("{{join (split .ImageName \"/\") \"_\"}}"),
                ("0123456789ab", "img_app-1"),
            ),
        ] {
            let (group, stream) = named(&names(group, stream, None), &web);
            assert_eq!((group.as_str(), stream.as_str()), expected);
        }
        assert_eq!(named(&names("g", None, None), &container("", &[])).1, "0123456789ab");
    }

    #[test]
    fn a_container_chooses_its_stream_only_behind_the_operators_prefix() {
        let greedy = container("web", &[("downspout.stream", "../audit:*")]);
        assert_eq!(named(&names("g", None, None), &greedy).1, "web");
        assert_eq!(named(&names("g", None, Some("apps/")), &greedy).1, "apps/../audit--");
        let mut by_variable = container("web", &[]);
        by_variable.variables.insert("DOWNSPOUT_STREAM".into(), "v*".into());
        assert_eq!(named(&names("g", None, None), &by_variable).1, "web");
        assert_eq!(named(&names("g", None, Some("p-")), &by_variable).1, "p-v-");
        let old = container("web", &[("LOGSPOUT_STREAM", "mine")]);
        assert_eq!(named(&names("g", Some("{{.ID}}"), Some("p-")), &old).1, "p-mine");
        assert_eq!(named(&names("g", None, Some("p-")), &container("web", &[])).1, "web");
    }

    #[test]
    fn constant_names_that_the_service_would_refuse_are_refused_at_start() {
        for text in ["a b", "a:b", "aws/x", "", "é"] {
            assert!(group(text).is_err(), "{text}");
        }
        for text in ["a:b", "a*", "\u{7}"] {
            assert!(stream(text).is_err(), "{text}");
        }
        assert!(group(&"g".repeat(513)).is_err() && group(&"g".repeat(512)).is_ok());
        assert!(prefix("").is_err() && prefix("a:b").is_err());
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_with_its_place() {
        for (text, said) in [
            ("a{{.Nam}}", "at character 4"),
            ("abc{{.Name", "character 4"),
            ("{{nothing .Name}}", "nothing"),
            ("{{.Data}}", ".Date is the day"),
        ] {
            let refused = group(text).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }

    #[test]
    fn regions_are_told_from_groups() {
        for region in
            ["eu-west-1", "us-gov-west-1", "ap-southeast-2", "eusc-de-east-1", "us-iso-east-1"]
        {
            assert!(is_region(region), "{region}");
        }
        for word in
            ["auto", "web", "my-app", "my-app-logs", "eu-west-", "EU-WEST-1", "a-1", "/a/b-1", ""]
        {
            assert!(!is_region(word), "{word}");
        }
    }

    proptest! {
        #[test]
        fn no_container_can_make_a_name_that_the_service_refuses(
            name in any::<String>(), label in any::<String>(),
        ) {
            let hostile = container(&name, &[("a", &label), ("downspout.stream", &label)]);
            let names = names("{{.Label \"a\"}}{{.Name}}", Some("{{.Name}}{{.Lbl \"a\"}}"), Some("p"));
            let (group, stream) = named(&names, &hostile);
            prop_assert!(group.chars().all(of_group) && !group.starts_with("aws/"), "{}", group);
            prop_assert!(stream.chars().all(of_stream), "{}", stream);
            for name in [group, stream] {
                prop_assert!((1..=512).contains(&name.chars().count()));
            }
        }
    }
}
