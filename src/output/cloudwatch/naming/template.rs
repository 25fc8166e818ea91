//! Names with fields in Go's template notation, from a fixed set: `{{.Name}}`,
//! `{{.Label "key"}}`, `{{index .Labels "key"}}`. Parsed once; a field that is unknown is an error.

use super::Surroundings;
use crate::record::{Container, Stream, Timestamp};

/// Longest text of a template, in bytes.
const LONGEST: usize = 4096;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::output::cloudwatch) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// What a template may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Id,
    FullId,
    ImageName,
    LoggerHost,
    InstanceId,
    Region,
    Stream,
    Date,
    Label(String),
}

/// The line that a name is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) container: &'a Container,
    pub(super) stream: Stream,
    pub(super) time: Timestamp,
    pub(super) surroundings: &'a Surroundings,
}

impl Template {
    /// Parses a template; an error says where and what could stand there.
    pub(in crate::output::cloudwatch) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("longer than {LONGEST} bytes"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let at = text.len() - after.len() - 1;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let (action, behind) = after.split_once("}}").ok_or_else(|| {
                format!("the '{{{{' at character {at} has no '}}}}'; write {{{{.Name}}}}")
            })?;
            parts.push(Part::Field(Field::parse(action.trim()).ok_or_else(|| {
                format!(
                    "'{{{{{action}}}}}' at character {at} is not known; known: .Name, .ID, .FullID, \
                     .ImageName, .LoggerHost, .InstanceID, .Region, .Stream, .Date, .Label \"key\""
                )
            })?));
            rest = behind;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The text, if it has no fields.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it holds a field.
    pub(super) fn holds(&self, field: &Field) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Field(held) if held == field))
    }

    /// The text for a line; `None` if a label is missing.
    pub(super) fn render(&self, line: &Line<'_>) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(Field::Date) => text.push_str(&date(line.time)),
                Part::Field(field) => text.push_str(field.of(line)?),
            }
        }
        Some(text)
    }
}

impl Field {
    fn parse(action: &str) -> Option<Self> {
        Some(match action {
            ".Name" => Self::Name,
            ".ID" => Self::Id,
            ".FullID" => Self::FullId,
            ".ImageName" => Self::ImageName,
            ".LoggerHost" | ".DaemonHost" => Self::LoggerHost,
            ".InstanceID" => Self::InstanceId,
            ".Region" => Self::Region,
            ".Stream" => Self::Stream,
            ".Date" => Self::Date,
            _ => {
                let words = [".Label ", ".Lbl ", "index .Labels "];
                let quoted = words.iter().find_map(|word| action.strip_prefix(word));
                let key = match quoted {
                    Some(quoted) => quoted.trim().strip_prefix('"')?.strip_suffix('"')?,
                    // Go's short form, for keys that are words.
                    None => action.strip_prefix(".Labels.")?,
                };
                let plain = !key.is_empty() && !key.contains(['"', '\\']);
                plain.then(|| Self::Label(key.to_owned()))?
            }
        })
    }

    fn of<'a>(&self, line: &Line<'a>) -> Option<&'a str> {
        let Line { container, stream, surroundings, .. } = *line;
        Some(match self {
            Self::Name => &container.name,
            Self::Id => container.short_id(),
            Self::FullId => &container.id,
            Self::ImageName => &container.image,
            Self::LoggerHost => &container.host,
            Self::InstanceId => &surroundings.instance,
            Self::Region => &surroundings.region,
            Self::Stream => stream.name(),
            Self::Label(key) => container.labels.get(key)?,
            Self::Date => return None,
        })
    }
}

fn date(time: Timestamp) -> String {
    let civil = time.civil(0);
    format!("{:04}-{:02}-{:02}", civil.year, civil.month, civil.day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let error = |text| Template::parse(text).unwrap_err();
        assert!(
            error("a{{.Nam}}").starts_with("'{{.Nam}}' at character 2 "),
            "{}",
            error("a{{.Nam}}")
        );
        assert!(
            error("abc{{.Name").contains("at character 4 has no '}}'"),
            "{}",
            error("abc{{.Name")
        );
        for text in [
            "{{}}",
            "{{.Env.SECRET}}",
            "{{.Label}}",
            "{{.Label key}}",
            "{{.Label \"\"}}",
            "{{if .Name}}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert!(Template::parse(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn text_without_fields_is_constant() {
        assert_eq!(Template::parse("a/b").unwrap().constant(), Some("a/b"));
        assert_eq!(Template::parse("").unwrap().constant(), Some(""));
        assert_eq!(Template::parse("{{.Name}}").unwrap().constant(), None);
    }
}
