//! On files in a temporary folder. Oracle: the order in which they were written.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

const ID: &str = "0a1b";

struct Log {
    folder: tempfile::TempDir,
    files: Files,
}

fn record(nanos: i64) -> String {
    let time = Timestamp::from_nanos(nanos);
    format!("{{\"log\":\"line {nanos}\\n\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n")
}

impl Log {
    fn new(stamps: impl IntoIterator<Item = i64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(ID)).unwrap();
        let log = Self { files: Files::of(folder.path(), ID), folder };
        log.write(stamps);
        log
    }

    fn write(&self, stamps: impl IntoIterator<Item = i64>) {
        let text: String = stamps.into_iter().map(record).collect();
        fs::write(self.files.path(), text).unwrap();
    }

    fn name(&self, end: &str) -> PathBuf {
        self.folder.path().join(ID).join(format!("{ID}-json.log{end}"))
    }

    /// As the engine does it: `.1` becomes `.2`, and the present one `.1`.
    fn rotate(&self, stamps: impl IntoIterator<Item = i64>) {
        if self.name(".1").exists() {
            fs::rename(self.name(".1"), self.name(".2")).unwrap();
        }
        fs::rename(self.files.path(), self.name(".1")).unwrap();
        self.write(stamps);
    }

    fn compress(&self, number: u32) {
        let plain = self.name(&format!(".{number}"));
        let file = fs::File::create(self.name(&format!(".{number}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(&fs::read(&plain).unwrap()).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }

    fn all(&self) -> LogFile {
        let mut file = self.files.from(Wanted::All).unwrap().file;
        file.first().unwrap();
        file
    }
}

fn first(next: io::Result<Next>) -> (Option<i64>, bool) {
    match next.unwrap() {
        Next::Nothing | Next::Empty => (None, false),
        Next::File(mut file) => (file.first().unwrap().map(Timestamp::nanos), false),
        Next::AfterGap(mut file, _) => (file.first().unwrap().map(Timestamp::nanos), true),
    }
}

#[test]
fn files_follow_each_other_as_they_were_written_whatever_their_names_are_by_then() {
    let log = Log::new([1, 2]);
    let oldest = log.all();
    assert_eq!(first(log.files.after(&oldest)), (None, false), "it is the one that is written");
    log.rotate([3, 4]);
    assert_eq!(first(log.files.after(&oldest)), (Some(3), false));
    log.rotate([5]);
    assert_eq!(first(log.files.after(&oldest)), (Some(3), false));
    log.compress(2);
    assert_eq!(first(log.files.after(&oldest)), (Some(3), false), "known by its first stamp");
    fs::remove_file(log.name(".2.gz")).unwrap();
    assert_eq!(first(log.files.after(&oldest)), (Some(3), true), "it may not be the next");
}

#[test]
fn a_place_is_found_again_by_inode_or_once_compressed_by_its_first_stamp_and_else_not() {
    let log = Log::new([1, 2]);
    let file = log.all().id().unwrap();
    let offset = record(1).len() as u64;
    let place = FilePlace { file, offset, look_from: offset };
    let found = || log.files.at(place).unwrap().map(|opened| (opened.file.id(), opened.offset));
    assert_eq!(found(), Some((Some(file), offset)));
    log.rotate([3]);
    assert_eq!(found(), Some((Some(file), offset)));
    log.compress(1);
    assert_eq!(found().map(|(_, offset)| offset), Some(offset));
    fs::remove_file(log.name(".1.gz")).unwrap();
    assert_eq!(found(), None);
}

#[test]
fn of_a_log_that_is_being_compressed_the_original_is_read() {
    let log = Log::new([1]);
    log.rotate([2]);
    fs::write(log.name(".1.gz"), b"half of it").unwrap();
    assert_eq!(log.all().first, Some(Timestamp::from_nanos(1)));
}

proptest! {
    #[test]
    fn a_search_ends_before_what_is_wanted_and_not_far_before(
        steps in prop::collection::vec(1..1_000_i64, 1..3_000), at in any::<prop::sample::Index>(),
    ) {
        let stamps: Vec<i64> =
            steps.iter().scan(0, |now, step| { *now += step; Some(*now) }).collect();
        let wanted = at.index(stamps.len());
        let log = Log::new(stamps.iter().copied());
        let since = Timestamp::from_nanos(stamps[wanted]);
        let found = log.files.from(Wanted::Since(since)).unwrap().offset;
        let place: usize = stamps[..wanted].iter().map(|stamp| record(*stamp).len()).sum();
        let place = place as u64;
        prop_assert!(found <= place, "{found} lies behind {place}");
        prop_assert!(place - found <= 65 * 1024, "{found} lies far before {place}");
    }
}
