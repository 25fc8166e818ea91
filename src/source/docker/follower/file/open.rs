//! Opens the files of a log: where its follower goes on, and from where on everything is new.
//! Never takes a record.

use std::io;

use tokio::time::sleep;

use super::reader::{NEXT_PAUSE, Reader};
use super::{Follower, is_passing};
use crate::record::FilePlace;
use crate::shutdown;
use crate::source::docker::files::{Files, Opened, Wanted};

/// How often a log is opened again that is being rotated.
const OPEN_TRIES: usize = 20;

impl Follower {
    /// Fails if there are none or they cannot be read.
    pub(super) async fn open_files(&mut self, files: Files) -> io::Result<Reader> {
        // The set of permits is never closed.
        let _permit = self.shared.opening.acquire().await.ok();
        let place = self.position.file();
        let wanted = match self.position.since(self.open_lines()) {
            Some(since) if !self.position.is_seeking() => Wanted::Since(since),
            _ => Wanted::All,
        };
        let all_is_new = self.position.is_start();
        let found = find(&files, place, wanted).await?;
        let Found { opened: Opened { file, offset }, is_exact, written } = found;
        self.shared.metrics.files_opened.inc();
        let new_from = match place {
            _ if all_is_new => 0,
            Some(place) if is_exact => place.offset,
            _ => file.new_from(written),
        };
        let watch = self.shared.changes.watch(file.content.descriptor(), files.path());
        let opened_at = (!all_is_new && !is_exact).then_some(written);
        Ok(Reader::new(files, (file, offset), watch, new_from, opened_at))
    }
}

/// Where a reader begins.
struct Found {
    opened: Opened,
    /// At its place, not by its stamps.
    is_exact: bool,
    /// The file that is written, by its inode, and its length.
    written: (u64, u64),
}

// Looks again while files are being renamed.
async fn find(files: &Files, place: Option<FilePlace>, wanted: Wanted) -> io::Result<Found> {
    let mut tries = 0..OPEN_TRIES;
    loop {
        let files = files.clone();
        let found = shutdown::blocking(move || {
            let by_place = place.map(|place| files.at(place)).transpose()?.flatten();
            let is_exact = by_place.is_some();
            let mut opened = by_place.map_or_else(|| files.from(wanted), Ok)?;
            opened.file.first()?;
            let written = files.written().map_err(|_| io::ErrorKind::ResourceBusy)?;
            Ok(Found { opened, is_exact, written })
        });
        match found.await {
            Err(error) if is_renaming(&error, place) && tries.next().is_some() => {
                sleep(NEXT_PAUSE.0).await;
            }
            found => return found,
        }
    }
}

// For a moment there is no file under its name.
fn is_renaming(error: &io::Error, place: Option<FilePlace>) -> bool {
    is_passing(error) && (place.is_some() || error.kind() != io::ErrorKind::NotFound)
}
