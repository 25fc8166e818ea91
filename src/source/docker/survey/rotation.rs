//! The options of the json-file driver that bound a log, read as the engine reads them.

use std::collections::BTreeMap;

use crate::metrics::containers::Rotation;

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file at most; `None` for no limit.
    pub max_size: Option<u64>,
    /// Files at most, the one that is written included.
    pub max_file: u64,
    /// Rotated files are compressed.
    pub compress: bool,
    /// Both could be read.
    understood: bool,
}

impl Limits {
    /// Those of a container, of whose options the engine has already merged the daemon's.
    pub fn of(options: &BTreeMap<String, String>) -> Self {
        let option = |name| options.get(name).map(|value| value.trim());
        let is_unlimited = |size: &&str| size.is_empty() || size.starts_with('-');
        let given = option("max-size").filter(|size| !is_unlimited(size));
        let max_size = given.and_then(parse_size);
        let files = option("max-file").map(str::parse::<u64>);
        Self {
            max_size,
            max_file: files.clone().and_then(Result::ok).unwrap_or(1).max(1),
            compress: matches!(
                option("compress"),
                Some("true" | "1" | "t" | "T" | "TRUE" | "True")
            ),
            understood: max_size.is_some() == given.is_some() && files.is_none_or(|n| n.is_ok()),
        }
    }

    /// Whether the log has a limit.
    pub fn rotation(&self) -> Rotation {
        match self.max_size {
            _ if !self.understood => Rotation::Unknown,
            Some(_) => Rotation::Bounded,
            None => Rotation::Unbounded,
        }
    }

    /// Bytes of the log that are surely there at any moment once it is full; `None` without a
    /// limit. With several files that is all but the one that was just begun. A single one is
    /// emptied when it is full: then this is the most there can be.
    pub fn kept(&self) -> Option<u64> {
        Some(self.max_size?.saturating_mul((self.max_file - 1).max(1)))
    }
}

/// A size as Docker reads it (go-units, `FromHumanSize`): `10m`, `1.5 GB`; powers of 1000, also
/// where the unit is written `KiB`. `None` for anything else.
pub fn parse_size(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(number)?.to_ascii_lowercase();
    let power = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if matches!(unit.as_str(), "" | "b") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let is_whole = unit.len() <= 3 && unit.matches('b').count() <= 1 && !unit.ends_with('i');
    let (whole, fraction) = match number.trim_end().split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (number.trim_end(), ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole || whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 15 {
        return None;
    }
    let factor = 1000_u128.pow(power);
    let tenths = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let whole = whole.parse::<u64>().ok().map(u128::from)?;
    u64::try_from(whole * factor + fraction * factor / tenths).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        // The table of go-units' TestFromHumanSize, and what it refuses.
        for (text, bytes) in [
            ("0", 0),
            ("0b", 0),
            ("32", 32),
            ("32b", 32),
            ("32B", 32),
            ("32k", 32_000),
            ("32K", 32_000),
            ("32kb", 32_000),
            ("32Kb", 32_000),
            ("32KiB", 32_000),
            ("32Mb", 32_000_000),
            ("32Gb", 32_000_000_000),
            ("32Tb", 32_000_000_000_000),
            ("32Pb", 32_000_000_000_000_000),
            ("32.5kB", 32_500),
            ("32.5 kB", 32_500),
            ("1g", 1_000_000_000),
            ("0.3 K", 300),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "hello", "-32", ".3kB", "32m b", "32bm", "32ki", "1e3", "99999999p", "ki"]
        {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_without_a_size_or_with_minus_one_is_unbounded() {
        for (options, rotation, kept) in [
            (&[][..], Rotation::Unbounded, None),
            (&[("max-file", "5")], Rotation::Unbounded, None),
            (&[("max-size", "-1")], Rotation::Unbounded, None),
            (&[("max-size", "")], Rotation::Unbounded, None),
            (&[("max-size", "10m")], Rotation::Bounded, Some(10_000_000)),
            (&[("max-size", "10m"), ("max-file", "3")], Rotation::Bounded, Some(20_000_000)),
            (&[("max-size", "ten")], Rotation::Unknown, None),
            (&[("max-size", "10m"), ("max-file", "few")], Rotation::Unknown, Some(10_000_000)),
        ] {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let limits = Limits::of(&options);
            assert_eq!((limits.rotation(), limits.kept()), (rotation, kept), "{options:?}");
        }
        let options = [("compress".to_owned(), "true".to_owned())].into();
        assert!(Limits::of(&options).compress);
    }
}
