//! What a container is called in the lines of our own formats: the route's templates, and what the
//! container's labels ask for. Never looks at a line.

use std::borrow::Cow;
use std::sync::Arc;

use super::Priorities;
use crate::record::Container;
use crate::select::{Allowed, Settings};
use crate::template::{Needs, Subject, Template};

/// Most bytes of a name that a template makes: what formats take of it is far less.
const MOST_NAME_BYTES: usize = 4096;

/// How a route names containers.
#[derive(Debug, Clone)]
pub(super) struct Names {
    tag: Option<Arc<Template>>,
    hostname: Option<Arc<Template>>,
    allowed: Allowed,
    priorities: Priorities,
}

/// How one container is named.
#[derive(Debug)]
pub(super) struct Named<'a> {
    /// What prints the lines.
    pub(super) tag: Cow<'a, str>,
    /// Whether that is not just the container's name.
    pub(super) has_tag: bool,
    /// Where it runs.
    pub(super) host: Cow<'a, str>,
    /// Facility and severities.
    pub(super) priorities: Priorities,
    /// Something stands in for a template that failed.
    pub(super) patched: bool,
}

impl Names {
    /// By these templates where there are some.
    pub(super) fn new(
        tag: Option<Template>,
        hostname: Option<Template>,
        allowed: Allowed,
        priorities: Priorities,
    ) -> Self {
        Self { tag: tag.map(Arc::new), hostname: hostname.map(Arc::new), allowed, priorities }
    }

    /// Containers under their own names, whatever their labels say.
    #[cfg(test)]
    pub(super) fn plain(priorities: Priorities) -> Self {
        Self::new(None, None, Allowed::none(), priorities)
    }

    /// Compiles a template of a name, which is the same for all lines of a container.
    pub(super) fn template(text: &str) -> Result<Template, String> {
        let template = Subject::template(text).map_err(|fault| fault.to_string())?;
        if template.is_of_line() || template.is_of_stream() {
            return Err(
                "it is made once for a container, and .Data, .Time, .Timestamp, .Date, .Source and \
                 .Priority are the line's; leave them out"
                    .into(),
            );
        }
        Ok(template)
    }

    /// How a container is named.
    pub(super) fn of<'a>(&self, container: &'a Container) -> Named<'a> {
        let settings = Settings::of(container, &self.allowed);
        let mut patched = false;
        let mut made = |template: &Option<Arc<Template>>| {
            let template = template.as_ref()?;
            let mut out = Vec::new();
            match template.render(&Subject::of(container), MOST_NAME_BYTES, &mut out) {
                Ok(()) => Some(String::from_utf8_lossy(&out).into_owned()),
                Err(error) => {
                    tracing::debug!(container = %container.name, %error, "a template failed");
                    patched = true;
                    None
                }
            }
        };
        let host = made(&self.hostname);
        let tag = settings.tag.clone().or_else(|| made(&self.tag));
        let host = host.map_or(Cow::Borrowed(container.host.as_str()), Cow::Owned);
        let has_tag = tag.is_some();
        let tag = tag.map_or(Cow::Borrowed(container.name.as_str()), Cow::Owned);
        Named { tag, has_tag, host, priorities: self.priorities.with(&settings), patched }
    }

    /// What has to be known of a container beside its name.
    pub(super) fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for template in self.tag.iter().chain(&self.hostname) {
            needs.add(template.needs());
        }
        needs
    }
}
