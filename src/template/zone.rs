//! Time zones: UTC, or that of the host as `TZ` and `/etc/localtime` give it, read once. Never
//! reads the environment, and holds no list of zones of its own.

use std::fs::File;
use std::io::Read;

use jiff::tz::TimeZone;

use super::layout::write_offset;
use crate::record::Timestamp;

/// Where times are shown.
#[derive(Debug, Clone)]
pub struct Zone(Option<TimeZone>);

/// UTC, for as long as a value may live.
pub(super) static UTC: Zone = Zone(None);

/// Where zones lie, in the order in which Go looks for them; musl has the second one as well.
const FOLDERS: [&str; 3] = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
const LOCALTIME: &str = "/etc/localtime";
/// The largest file of a zone has less than 4 KiB.
const MOST_BYTES: u64 = 256 << 10;
const MOST_NAME_BYTES: usize = 255;

impl Zone {
    /// UTC.
    pub const fn utc() -> Self {
        Self(None)
    }

    /// The zone that a value of `TZ` means: a name such as `America/New_York`, a path with or
    /// without a colon before it, a POSIX rule such as `EST5EDT,M3.2.0,M11.1.0`; UTC if empty.
    /// Without `TZ` it is that of `/etc/localtime`, and UTC if there is no such file.
    pub fn local(tz: Option<&str>) -> Result<Self, String> {
        let Some(tz) = tz else { return Self::of_host() };
        let name = tz.strip_prefix(':').unwrap_or(tz);
        if matches!(name, "" | "UTC" | "UTC0" | "Etc/UTC") {
            return Ok(Self::utc());
        }
        let bad = |why: &str| {
            format!(
                "TZ={tz:?}: {why}; write a name such as America/New_York, with the zones of the \
                 host at /usr/share/zoneinfo, or a rule such as EST5EDT,M3.2.0,M11.1.0"
            )
        };
        if name.len() > MOST_NAME_BYTES || name.contains('\0') {
            return Err(bad("no name of a zone"));
        }
        if name.starts_with('/') {
            let zone = read(name).ok_or_else(|| bad("no such file"))?;
            return zone.map_err(|why| bad(&why));
        }
        if name.split('/').all(|part| !matches!(part, ".." | "")) {
            let found = FOLDERS.iter().find_map(|folder| read(&format!("{folder}/{name}")));
            if let Some(zone) = found {
                return zone.map_err(|why| bad(&why));
            }
        }
        // A colon says that it is no rule.
        if tz == name
            && let Ok(zone) = TimeZone::posix(name)
        {
            return Ok(Self(Some(zone)));
        }
        Err(bad("unknown zone"))
    }

    fn of_host() -> Result<Self, String> {
        let zone = read(LOCALTIME).unwrap_or_else(|| Ok(Self::utc()));
        zone.map_err(|why| format!("{LOCALTIME}: {why}; set TZ to the name of a zone, or to UTC"))
    }

    /// Seconds that its clocks are ahead of UTC at a moment.
    pub fn offset_seconds(&self, at: Timestamp) -> i32 {
        self.0.as_ref().map_or(0, |zone| zone.to_offset(moment(at)).seconds())
    }

    /// Appends its name at a moment, such as `CET`; digits where it has none.
    pub fn push_abbreviation(&self, at: Timestamp, out: &mut Vec<u8>) {
        let Some(zone) = &self.0 else {
            out.extend_from_slice(b"UTC");
            return;
        };
        let info = zone.to_offset_info(moment(at));
        let name = info.abbreviation();
        if name.is_empty() {
            let offset = info.offset().seconds();
            write_offset(out, offset, false, if offset % 3600 == 0 { 1 } else { 2 });
        } else {
            out.extend_from_slice(name.as_bytes());
        }
    }
}

// Every 64-bit count of nanoseconds is within its years.
fn moment(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(at.nanos().into()).unwrap_or_default()
}

// `None` if there is no such file.
fn read(path: &str) -> Option<Result<Zone, String>> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    // A folder such as `America` opens, and cannot be read.
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let zone = TimeZone::tzif(path, &bytes);
    Some(zone.map(|zone| Zone(Some(zone))).map_err(|_| format!("{path} is no file of a zone")))
}
