//! Text of option values to values. Every error says what was expected.

use std::fmt;

use crate::encode::Framing;
use crate::options::parse_bytes;
use crate::output::Carriage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Rfc5424,
    Rfc3164,
    /// logspout's syslog, as its variables have it.
    Logspout,
    Raw,
    /// logspout's bare line, or what `RAW_FORMAT` makes of it.
    LogspoutRaw,
    Json,
    Console,
}

pub(super) const SYSLOG: &[Name] = &[Name::Rfc5424, Name::Rfc3164, Name::Logspout];
pub(super) const OWN: &[Name] = &[Name::Rfc5424, Name::Rfc3164, Name::Json];
pub(super) const ANY_RAW: &[Name] = &[Name::Raw, Name::LogspoutRaw];

impl Name {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Rfc5424 => "rfc5424",
            Self::Rfc3164 => "rfc3164",
            Self::Logspout => "logspout",
            Self::Raw | Self::LogspoutRaw => "raw",
            Self::Json => "json",
            Self::Console => "console",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "rfc5424" => Ok(Self::Rfc5424),
            "rfc3164" => Ok(Self::Rfc3164),
            "logspout" => Ok(Self::Logspout),
            "raw" => Ok(Self::Raw),
            "json" => Ok(Self::Json),
            "console" => Ok(Self::Console),
            _ => Err("expected rfc5424, rfc3164, logspout, raw, json or console".into()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "format={}", self.word())
    }
}

pub(super) fn parse_framing(text: &str) -> Result<Framing, String> {
    match text {
        "octet-counting" => Ok(Framing::OctetCounting),
        "lf" => Ok(Framing::Lf),
        _ => Err("expected octet-counting or lf".into()),
    }
}

// 480: what RFC 5424 section 6.1 makes every receiver take. 65,507: the largest UDP payload.
// 32 MiB: the longest line that the agent makes, with a header.
pub(super) fn parse_max_message_bytes(text: &str, carriage: Carriage) -> Result<usize, String> {
    let (most, shown) = match carriage {
        Carriage::Messages => (32 << 20, "32MiB, such as 128KiB"),
        _ => (65_507, "65507 bytes, such as 2048 or 8KiB"),
    };
    let bytes = parse_bytes(text)?;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| (480..=most).contains(bytes))
        .ok_or_else(|| format!("expected 480 to {shown}"))
}

pub(super) fn parse_sd(text: &str) -> Result<(bool, bool), String> {
    match text {
        "none" => Ok((false, false)),
        "container" => Ok((true, false)),
        "meta" => Ok((false, true)),
        "container+meta" | "meta+container" => Ok((true, true)),
        _ => Err("expected none, container, meta or container+meta".into()),
    }
}

pub(super) fn parse_names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split('+').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err("expected label names with + between, such as com.example.team+tier".into());
    }
    Ok(names)
}

pub(super) fn parse_enterprise(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a number from IANA's list, such as 32473".into())
}

pub(super) fn parse_utc_offset(text: &str) -> Result<i32, String> {
    let read = || {
        let (sign, rest) = match text.split_at_checked(1)? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return None,
        };
        let number = |digits: &str| -> Option<i32> {
            let whole = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| whole)
        };
        let (hours, minutes) = rest.split_once(':')?;
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
    };
    read().ok_or_else(|| "expected an offset from UTC such as +02:00 or -05:30".into())
}

pub(super) fn parse_labels(text: &str) -> Result<bool, String> {
    match text {
        "all" => Ok(true),
        "none" => Ok(false),
        _ => Err("expected all or none".into()),
    }
}
