//! One field of a message: a template, how much of it stands, and what stands for it if it fails.

use std::sync::Arc;

use crate::encode::framing::escape_in_place;
use crate::template::{Needs, Subject, Template};

/// The text as it is.
pub(super) const DATA: &str = "{{.Data}}";
/// The same with its end.
pub(super) const RAW: &str = "{{.Data}}\n";
/// When it was printed, in whole seconds.
const TIMESTAMP: &str = "{{.Timestamp}}";

/// Most bytes of a field of the header: those of a container's own are cut to far less.
const MOST_FIELD_BYTES: usize = 8 << 10;
/// What a template may add to a line, in bytes, and by how much it may blow up its text: JSON takes
/// six bytes for one.
const MORE_BYTES: usize = 64 << 10;
const TIMES: usize = 6;

/// What stands for a field that could not be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    /// The priority of the line's stream.
    Priority,
    /// When it was printed.
    Timestamp,
    /// The name of the host.
    Hostname,
    /// The name of the container.
    Name,
    /// What logspout has of a container that has ended.
    Pid,
    /// No text.
    Nothing,
    /// The line.
    Data,
    /// The line and its end.
    Raw,
}

/// One field of a message. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The variable or option that it comes from.
    name: &'static str,
    template: Arc<Template>,
    fallback: Fallback,
}

impl Field {
    /// Compiles a template. The error has its place and an example.
    pub(super) fn parse(
        name: &'static str,
        text: &str,
        fallback: Fallback,
    ) -> Result<Self, String> {
        let template = Subject::template(text).map_err(|fault| fault.to_string())?;
        Ok(Self { name, template: Arc::new(template), fallback })
    }

    /// Whether it is the text of the line and nothing else.
    pub(super) fn is_text(&self) -> bool {
        self.template.text() == DATA
    }

    /// Whether it is the text of the line with a line feed.
    pub(super) fn is_text_and_feed(&self) -> bool {
        self.template.text() == RAW
    }

    /// Whether it is when the line was printed, in whole seconds.
    pub(super) fn is_timestamp(&self) -> bool {
        self.template.text() == TIMESTAMP
    }

    /// Whether each line has its own: the text always has, which may be what stands in.
    pub(super) fn is_of_line(&self) -> bool {
        self.stands_for_text() || self.template.is_of_line()
    }

    fn stands_for_text(&self) -> bool {
        matches!(self.fallback, Fallback::Data | Fallback::Raw)
    }

    /// What has to be known of the container beside its name.
    pub(super) fn needs(&self) -> Needs {
        self.template.needs()
    }

    /// Appends the field; false if something else had to stand for it.
    pub(super) fn render(&self, subject: &Subject<'_>, out: &mut Vec<u8>) -> bool {
        let is_text = self.stands_for_text();
        let most = if is_text {
            subject.text.len().saturating_mul(TIMES).saturating_add(MORE_BYTES)
        } else {
            MOST_FIELD_BYTES
        };
        let start = out.len();
        let rendered = self.template.render(subject, most, out);
        if let Err(error) = &rendered {
            tracing::debug!(container = %subject.container.name, field = self.name, %error, "a template failed");
            self.fall_back(subject, out);
        }
        // A label must not begin another frame.
        if !is_text {
            escape_in_place(out, start);
        }
        rendered.is_ok()
    }

    fn fall_back(&self, subject: &Subject<'_>, out: &mut Vec<u8>) {
        match self.fallback {
            Fallback::Priority => out.extend_from_slice(subject.priority.to_string().as_bytes()),
            Fallback::Timestamp => subject.push_timestamp(out),
            Fallback::Hostname => out.extend_from_slice(subject.container.host.as_bytes()),
            Fallback::Name => out.extend_from_slice(subject.container.name.as_bytes()),
            Fallback::Pid => out.push(b'0'),
            Fallback::Nothing => {}
            Fallback::Data => out.extend_from_slice(subject.text),
            Fallback::Raw => {
                out.extend_from_slice(subject.text);
                out.push(b'\n');
            }
        }
    }
}
