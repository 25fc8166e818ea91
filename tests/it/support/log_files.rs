//! The files of a log as the engine's json-file driver writes, renames and compresses them, by the
//! test itself; and what administrators, crashes and full disks do to them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fake_engine::stamp;
use super::numbers::Stream;

/// The files of one container's log.
pub struct LogFiles {
    path: PathBuf,
    file: File,
}

impl LogFiles {
    /// An empty log in the folder of containers, as the engine makes one when a container starts.
    pub fn create(containers: &Path, id: &str) -> Self {
        let folder = containers.join(id);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{id}-json.log"));
        let file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        Self { path, file }
    }

    /// The name of a file: 0 is the one that is written, the others are rotated ones.
    pub fn name(&self, number: usize) -> PathBuf {
        if number == 0 { self.path.clone() } else { suffixed(&self.path, &format!(".{number}")) }
    }

    /// The same once it was compressed.
    pub fn compressed_name(&self, number: usize) -> PathBuf {
        suffixed(&self.name(number), ".gz")
    }

    /// Writes a record.
    pub fn print(&mut self, stream: Stream, nanos: i64, text: &[u8]) {
        self.write(&record(stream, nanos, text));
    }

    /// Writes bytes as they are, in one step.
    pub fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).unwrap();
    }

    /// How long the file is that is written.
    pub fn length(&self) -> u64 {
        fs::metadata(&self.path).unwrap().len()
    }

    /// Goes on in a new file. With the rotated ones, `files` are kept. (From then on the engine
    /// does not append any more: it writes where it is.)
    pub fn rotate(&mut self, files: usize) {
        for name in [self.name(files - 1), self.compressed_name(files - 1)] {
            fs::remove_file(name).ok();
        }
        for number in (0..files - 1).rev() {
            for (from, to) in [
                (self.name(number), self.name(number + 1)),
                (self.compressed_name(number), self.compressed_name(number + 1)),
            ] {
                fs::rename(from, to).ok();
            }
        }
        let mut new = OpenOptions::new();
        self.file = new.create(true).write(true).truncate(true).open(&self.path).unwrap();
    }

    /// Goes on in a new file that begins with the last records; nothing else is kept.
    pub fn keep_last(&mut self, records: usize) {
        let all = fs::read(&self.path).unwrap();
        self.rotate(1);
        let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
        self.write(&lines[lines.len() - records..].concat());
    }

    /// Compresses a rotated file; its original goes.
    pub fn compress(&self, number: usize) {
        self.compress_beside(number);
        fs::remove_file(self.name(number)).unwrap();
    }

    /// The same before the original goes.
    pub fn compress_beside(&self, number: usize) {
        let file = File::create(self.compressed_name(number)).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(&fs::read(self.name(number)).unwrap()).unwrap();
        encoder.finish().unwrap();
    }

    /// Cuts the file that is written to `length` bytes, as `truncate` and `copytruncate` do.
    pub fn truncate(&self, length: u64) {
        OpenOptions::new().write(true).open(&self.path).unwrap().set_len(length).unwrap();
    }

    /// Puts a copy of the file that is written in its place, as an editor does, and goes on in it.
    pub fn replace(&mut self) {
        let copy = suffixed(&self.path, ".copy");
        fs::copy(&self.path, &copy).unwrap();
        fs::rename(&copy, &self.path).unwrap();
        self.file = OpenOptions::new().append(true).open(&self.path).unwrap();
    }

    /// Renames the file that is written and puts an empty one in its place, as log rotation does
    /// that does not know the engine; which goes on writing to the renamed one.
    pub fn rename_away(&self) {
        fs::rename(&self.path, self.name(1)).unwrap();
        File::create(&self.path).unwrap();
    }

    /// Opens the log as the engine does when its container starts.
    pub fn open_again(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
    }

    /// Overwrites `bytes` from the end of a file on, as a bad disk does.
    pub fn spoil(path: &Path, bytes: i64) {
        let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut end = vec![0; usize::try_from(bytes).unwrap()];
        file.seek(SeekFrom::End(-bytes)).unwrap();
        file.read_exact(&mut end).unwrap();
        for byte in &mut end {
            *byte = !*byte;
        }
        file.seek(SeekFrom::End(-bytes)).unwrap();
        file.write_all(&end).unwrap();
    }

    /// Removes the log with its folder, as the engine does when a container is removed.
    pub fn remove(&self) {
        fs::remove_dir_all(self.path.parent().unwrap()).unwrap();
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A record and its line feed, as Go's encoder writes it.
pub fn record(stream: Stream, nanos: i64, text: &[u8]) -> Vec<u8> {
    let mut record = b"{\"log\":\"".to_vec();
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|character| escape(character, &mut record));
        chunk.invalid().iter().for_each(|_| record.extend_from_slice(b"\\ufffd"));
    }
    let stamp = stamp(nanos);
    // Zeros at the end of a fraction are not written.
    let stamp = stamp.trim_end_matches(['0', 'Z']).trim_end_matches('.');
    let end = format!("\",\"stream\":\"{}\",\"time\":\"{stamp}Z\"}}\n", stream.name());
    record.extend_from_slice(end.as_bytes());
    record
}

fn escape(character: char, out: &mut Vec<u8>) {
    match character {
        '"' | '\\' => out.extend_from_slice(format!("\\{character}").as_bytes()),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        }
        other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[test]
fn records_are_written_as_docker_writes_them() {
    // Both taken from Engine 20.10.
    let line = "a\"b\\c<d>\u{2028}\u{1}é\r\n".as_bytes();
    assert_eq!(
        String::from_utf8(record(Stream::Err, 1_795_387_206_063_720_000, line)).unwrap(),
        "{\"log\":\"a\\\"b\\\\c\\u003cd\\u003e\\u2028\\u0001é\\r\\n\",\"stream\":\"stderr\",\
         \"time\":\"2026-11-22T22:40:06.06372Z\"}\n"
    );
    assert_eq!(
        String::from_utf8(record(Stream::Out, 10_000_000_000, b"\xff\xfe")).unwrap(),
        "{\"log\":\"\\ufffd\\ufffd\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:10Z\"}\n"
    );
}
