//! How fast a json-file log grows, from the stamps of its last records. Reads a few pieces of the
//! files, however long they are, and never waits for a line.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::record::Timestamp;
use crate::source::docker::disk::BLOCK_BYTES;
use crate::source::docker::json_file::{Decoded, Decoder};

/// The present is at least this long, where the log goes back so far.
const PRESENT_NANOS: i64 = 10 * 60 * NANOS;
const NANOS: i64 = 1_000_000_000;
/// How far from the end the first look is, and how much further each next one.
const FIRST_STEP: u64 = 64 * 1024;
const FURTHER: u64 = 4;
/// Read at one place: usually hundreds of records; then the longest record there may be.
const PIECES: [usize; 2] = [16 * 1024, 1 << 20];
/// Rotated files that are looked at.
const MOST_FILES: usize = 20;

/// Bytes per second that are written to the log at `path` at present; 0 for one that is empty.
pub(super) fn rate(path: &Path, now: Timestamp) -> io::Result<f64> {
    let (mut known, mut behind, mut now) = (None, 0, now);
    for number in 0..MOST_FILES {
        let file = match File::open(rotated(path, number)) {
            Ok(file) => file,
            Err(error) if number == 0 => return Err(error),
            // Compressed, or there are no more: what is known has to do.
            Err(_) => break,
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let length = metadata.len();
        if number == 0 {
            // The clock may have been set, or be another host's.
            now = last_stamp(&file, length)?.map_or(now, |last| now.max(last));
        }
        for start in starts(length) {
            let Some((at, time)) = stamp_behind(&file, start)? else { continue };
            known = Some((behind + on_disk(&metadata, length.saturating_sub(at)), time));
            if now.nanos() - time.nanos() >= PRESENT_NANOS {
                return Ok(per_second(known, now));
            }
        }
        behind += on_disk(&metadata, length);
    }
    Ok(per_second(known, now))
}

// A file that was truncated under its writer begins with a hole, which takes nothing.
fn on_disk(metadata: &Metadata, length: u64) -> u64 {
    length.min(metadata.blocks().saturating_mul(BLOCK_BYTES))
}

fn rotated(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

// From near the end further and further back, the beginning of the file last.
fn starts(length: u64) -> impl Iterator<Item = u64> {
    let steps = std::iter::successors(Some(FIRST_STEP), |step| step.checked_mul(FURTHER));
    steps.take_while(move |step| *step < length).map(move |step| length - step).chain([0])
}

fn per_second(known: Option<(u64, Timestamp)>, now: Timestamp) -> f64 {
    let Some((bytes, time)) = known else { return 0.0 };
    // What was printed at one moment was perhaps all there ever is: no less than a second.
    let nanos = (now.nanos() - time.nanos()).max(NANOS);
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let (bytes, seconds) = (bytes as f64, nanos as f64 / 1e9);
    bytes / seconds
}

// The first record that begins at 0, or else behind `start`: its place and stamp.
fn stamp_behind(file: &File, start: u64) -> io::Result<Option<(u64, Timestamp)>> {
    for size in PIECES {
        let mut piece = vec![0; size];
        let read = file.read_at(&mut piece, start)?;
        piece.truncate(read);
        let begin = match start {
            0 => 0,
            _ => memchr::memchr(b'\n', &piece).map_or(read, |at| at + 1),
        };
        let end = memchr::memrchr(b'\n', &piece).map_or(0, |at| at + 1);
        if let Some(found) = piece.get_mut(begin..end).and_then(first_record) {
            return Ok(Some((start + begin as u64 + found.0, found.1)));
        }
        if read < size {
            break;
        }
    }
    Ok(None)
}

// Of the last record; `None` if it is a long one.
fn last_stamp(file: &File, length: u64) -> io::Result<Option<Timestamp>> {
    let [size, _] = PIECES;
    let mut piece = vec![0; size];
    let read = file.read_at(&mut piece, length.saturating_sub(size as u64))?;
    piece.truncate(read);
    let end = memchr::memrchr(b'\n', &piece).map_or(0, |at| at + 1);
    let mut last = None;
    if let Some(lines) = piece.get_mut(..end) {
        Decoder::default().push(lines, |decoded| {
            if let Decoded::Record { time, .. } = decoded {
                last = Some(time);
            }
        });
    }
    Ok(last)
}

fn first_record(lines: &mut [u8]) -> Option<(u64, Timestamp)> {
    let (mut found, mut at) = (None, 0);
    Decoder::default().push(lines, |decoded| match decoded {
        Decoded::Record { time, .. } => {
            found.get_or_insert((at, time));
        }
        Decoded::Garbled { end, .. } => at = end as u64,
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_795_387_206;

    // Records of 100 bytes each, one every `every` seconds up to `last`.
    fn log(count: i64, every: i64, last: i64) -> Vec<u8> {
        let mut log = Vec::new();
        for number in (0..count).rev() {
            let time = Timestamp::from_nanos((last - number * every) * NANOS);
            let head = "{\"log\":\"";
            let tail = format!("\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n");
            let text = "x".repeat(100 - head.len() - tail.len());
            log.extend_from_slice(format!("{head}{text}{tail}").as_bytes());
        }
        log
    }

    fn estimate(files: &[Vec<u8>], now: i64) -> f64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (number, content) in files.iter().enumerate() {
            std::fs::write(rotated(&path, number), content).unwrap();
        }
        rate(&path, Timestamp::from_nanos(now * NANOS)).unwrap()
    }

    #[track_caller]
    fn assert_near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= wanted * 0.05, "{found}, not {wanted}");
    }

    #[test]
    fn a_steady_log_has_its_rate_however_long_it_is() {
        // 100 bytes a second, for an hour and for a day.
        for count in [3600, 86_400] {
            assert_near(estimate(&[log(count, 1, START)], START), 100.0);
        }
    }

    #[test]
    fn it_is_the_present_that_counts() {
        // A flood that ended a day ago, then a line a minute.
        let mut flood = log(50_000, 0, START - 86_400);
        flood.extend(log(1440, 60, START));
        assert_near(estimate(&[flood], START), 100.0 / 60.0);
        // Silent for a day since a burst.
        assert_near(estimate(&[log(10, 0, START - 86_400)], START), 1000.0 / 86_400.0);
    }

    #[test]
    fn a_burst_at_the_end_of_a_long_log_is_no_flood() {
        let mut burst = log(3600, 1, START);
        burst.extend(log(1000, 0, START));
        let found = estimate(&[burst], START);
        assert!(found < 300.0, "{found}: 100,000 bytes within ten minutes or more");
    }

    #[test]
    fn just_rotated_the_older_files_tell() {
        let files = [log(3, 1, START), log(600, 1, START - 3), log(600, 1, START - 603)];
        assert_near(estimate(&files, START), 100.0);
    }

    #[test]
    fn a_hole_is_not_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let records = log(100, 1, START);
        let file = File::create(&path).unwrap();
        file.write_all_at(&log(1, 0, START - 100), 0).unwrap();
        file.write_all_at(&records, 1 << 30).unwrap();
        let found = rate(&path, Timestamp::from_nanos(START * NANOS)).unwrap();
        assert!(found < 1000.0, "{found}: {} bytes in 100 seconds", records.len());
    }

    #[test]
    fn odd_files_are_survived() {
        assert_near(estimate(&[Vec::new()], START), 0.0);
        assert_near(estimate(&[vec![b'x'; 300_000]], START), 0.0);
        assert_near(estimate(&[vec![b'\n'; 300_000]], START), 0.0);
        // A clock that was set back: the stamps lie ahead.
        assert_near(estimate(&[log(1000, 1, START)], START - 5000), 100.0);
        assert_near(estimate(&[log(1, 0, START)], START), 100.0);
        assert!(rate(Path::new("/nowhere"), Timestamp::now()).is_err());
        assert!(rate(Path::new("/tmp"), Timestamp::now()).is_err());
    }
}
