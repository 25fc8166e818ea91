//! What logs take of the disk, by their folder. Reads no file, only what is known of it.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;

use crate::metrics::containers::Measured;

/// The unit of `st_blocks`, whatever the file system's own is (stat(2)).
pub const BLOCK_BYTES: u64 = 512;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub size: u64,
    /// What is free for everybody, in bytes: what `df` calls available.
    pub free: u64,
}

/// The file system that holds `path`.
pub fn space(path: &Path) -> io::Result<Space> {
    let found = statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok(Space { size: bytes(found.f_blocks), free: bytes(found.f_bavail) })
}

/// Bytes on disk of the json-file log of container `id`, with all that were rotated; as `du` has
/// them. `None` without such a log. `containers` is the engine's folder of containers.
pub fn log_bytes(containers: &Path, id: &str) -> io::Result<Option<u64>> {
    let entries = match fs::read_dir(containers.join(id)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let name = format!("{id}-json.log");
    let mut sum = None;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(name.as_bytes()) {
            *sum.get_or_insert(0) += on_disk(&entry);
        }
    }
    Ok(sum)
}

// One that is rotated away meanwhile takes nothing. Links are not followed.
fn on_disk(entry: &DirEntry) -> u64 {
    entry.metadata().map_or(0, |metadata| metadata.blocks() * BLOCK_BYTES)
}

/// The same for all of `ids`, and the file system. Blocks for as long as the disk takes.
pub(super) fn measure(containers: &Path, ids: &[String]) -> Measured {
    let Ok(disk) = space(containers) else { return Measured::default() };
    let log = |id: &String| Some((id.clone(), log_bytes(containers, id).ok()??));
    let logs = ids.iter().filter_map(log).collect();
    Measured { logs, disk_size: disk.size, disk_free: disk.free }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_log_count_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("ab")).unwrap();
        assert_eq!(log_bytes(folder.path(), "ab").unwrap(), None, "no log");
        assert_eq!(log_bytes(folder.path(), "cd").unwrap(), None, "no container");
        let write = |name: &str, bytes| {
            let path = folder.path().join("ab").join(name);
            fs::write(&path, vec![b'x'; bytes]).unwrap();
            fs::metadata(path).unwrap().blocks() * 512
        };
        write("config.v2.json", 9000);
        write("abc-json.log", 9000);
        let sum = write("ab-json.log", 5000) + write("ab-json.log.1", 70_000);
        let sum = sum + write("ab-json.log.2.gz", 100);
        assert_eq!(log_bytes(folder.path(), "ab").unwrap(), Some(sum));
        let measured = measure(folder.path(), &["ab".to_owned(), "cd".to_owned()]);
        assert_eq!(measured.logs, [("ab".to_owned(), sum)].into());
        assert!(measured.disk_free <= measured.disk_size && measured.disk_size > 0);
        assert_eq!(measure(&folder.path().join("none"), &[]), Measured::default());
    }
}
