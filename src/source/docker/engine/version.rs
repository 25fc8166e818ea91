//! Which version of the Engine's API is spoken.

use std::fmt;
use std::str::FromStr;

use super::EngineError;

/// A version of the Engine's API, e.g. 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// 1 until today.
    pub major: u16,
    /// 41 on Engine 20.10.
    pub minor: u16,
}

impl ApiVersion {
    /// The newest version whose replies we know.
    pub const NEWEST: Self = Self { major: 1, minor: 53 };

    /// The first in which the type of a log's content tells whether it has frames.
    pub(super) const CONTENT_TYPES: Self = Self { major: 1, minor: 42 };

    /// What to speak with an engine that speaks `oldest` to `newest`, unless the operator has
    /// `forced` a version.
    pub(super) fn negotiate(
        forced: Option<Self>,
        oldest: Option<Self>,
        newest: Self,
    ) -> Result<Self, EngineError> {
        let ours = forced.unwrap_or(newest.min(Self::NEWEST));
        let oldest = oldest.unwrap_or(Self { major: 1, minor: 0 });
        if (oldest..=newest).contains(&ours) {
            return Ok(ours);
        }
        let cure = if forced.is_some() {
            "unset DOCKER_API_VERSION, or set it to one of these"
        } else {
            "use a newer downspout, or set DOCKER_MIN_API_VERSION for dockerd"
        };
        Err(EngineError::ApiVersion { ours, oldest, newest, cure })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.trim_start_matches('v').split_once('.');
        let parsed = numbers.and_then(|(major, minor)| {
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        parsed.ok_or_else(|| format!("`{text}` is not a version of Docker's API, such as 1.41"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ApiVersion {
        text.parse().unwrap()
    }

    #[test]
    fn the_highest_version_that_both_know_is_spoken() {
        for (forced, oldest, newest, expected) in [
            (None, Some("1.12"), "1.41", "1.41"),
            (None, Some("1.44"), "1.99", "1.53"),
            (None, None, "1.9", "1.9"),
            (Some("1.30"), Some("1.12"), "1.41", "1.30"),
        ] {
            let spoken =
                ApiVersion::negotiate(forced.map(version), oldest.map(version), version(newest));
            assert_eq!(spoken.unwrap(), version(expected));
        }
    }

    #[test]
    fn an_error_names_both_sides_and_the_cure() {
        let newer = ApiVersion::negotiate(None, Some(version("1.60")), version("1.70"));
        let text = newer.unwrap_err().to_string();
        assert!(text.contains("1.53") && text.contains("1.60"), "{text}");
        let forced = ApiVersion::negotiate(Some(version("1.50")), None, version("1.41"));
        let text = forced.unwrap_err().to_string();
        assert!(text.contains("1.50") && text.contains("DOCKER_API_VERSION"), "{text}");
    }

    #[test]
    fn anything_but_two_numbers_is_refused() {
        assert_eq!(version("v1.41"), ApiVersion { major: 1, minor: 41 });
        for text in ["", "1", "1.", "1.x", "1.41.2", "-1.4"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
