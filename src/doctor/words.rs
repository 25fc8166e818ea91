//! Numbers and names as people read them.

const KIB: f64 = 1024.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// "1 container", "2 containers".
pub(super) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// "512 bytes", "1.2 GiB".
pub(super) fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let count = count as f64;
    size(count)
}

fn size(count: f64) -> String {
    if count < KIB {
        return format!("{count:.0} bytes");
    }
    let mut count = count / KIB;
    for unit in ["KiB", "MiB", "GiB"] {
        if count < 1000.0 {
            return format!("{count:.1} {unit}");
        }
        count /= KIB;
    }
    format!("{count:.1} TiB")
}

/// "3.4 KiB/s", "12.0 KiB a day".
pub(super) fn rate(bytes_per_second: f64) -> String {
    if bytes_per_second < KIB {
        format!("{} a day", size(bytes_per_second * DAY))
    } else {
        format!("{}/s", size(bytes_per_second))
    }
}

/// "45 seconds", "3 hours", "40 days".
pub(super) fn duration(seconds: f64) -> String {
    for (unit, length) in [("day", DAY), ("hour", HOUR), ("minute", MINUTE)] {
        if seconds >= 2.0 * length {
            let count = seconds / length;
            return if count >= 10_000.0 {
                format!("more than 10000 {unit}s")
            } else {
                format!("{count:.0} {unit}s")
            };
        }
    }
    format!("{seconds:.0} seconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_say_them() {
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1_000_000_000_000), "931.3 GiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(rate(2048.0), "2.0 KiB/s");
        assert_eq!(rate(1.0), "84.4 KiB a day");
        assert_eq!(rate(0.0), "0 bytes a day");
        assert_eq!(duration(30.0), "30 seconds");
        assert_eq!(duration(1800.0), "30 minutes");
        assert_eq!(duration(90.0 * DAY), "90 days");
        assert_eq!(duration(f64::INFINITY), "more than 10000 days");
        assert_eq!((plural(1, "note"), plural(0, "note")), ("1 note".into(), "0 notes".into()));
    }
}
