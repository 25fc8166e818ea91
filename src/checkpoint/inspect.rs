//! What an operator can do with a checkpoint: look at it, remove it. Never changes a position.

use std::fmt::Write;
use std::path::Path;

use super::Snapshot;
use super::disk::{Disk, Folder, Refusal};
use super::format::{self, Reading};
use super::store::{CHECKPOINT, NEW, flaws, held, is_missing};
use crate::lane::Kept;
use crate::options::Problem;
use crate::record::{Resume, Stream, Timestamp};

const NONE: &str = "-";
/// As many as `docker ps` shows.
const SHORT_ID: usize = 12;

/// A checkpoint as a text for people.
#[derive(Debug)]
pub struct Shown {
    /// The table, or that there is none.
    pub text: String,
    /// What is wrong with the file; `None` if nothing is.
    pub flaw: Option<Problem>,
}

/// Shows what is kept in `folder`. Takes no lock: an agent may run on it.
pub fn show(folder: &Path) -> Result<Shown, Problem> {
    let path = folder.join(CHECKPOINT);
    let Some(reading) = read(folder)? else {
        return Ok(Shown { text: none(&path), flaw: None });
    };
    let version = reading.version.map_or_else(|| "unknown".into(), |version| version.to_string());
    let mut text = format!("{}, version {version}\n", path.display());
    for (name, kept) in &reading.snapshot {
        // Writing to a string cannot fail.
        writeln!(text, "\n{}, since {}", name.escape_debug(), kept.since).ok();
        table(&mut text, kept);
    }
    if reading.snapshot.is_empty() {
        text.push_str("\nholds no destination\n");
    }
    Ok(Shown { text, flaw: flaws(&path, &reading).map(Problem::new) })
}

/// The positions that are kept in `folder`; `None` if there never were any. Takes no lock: an agent
/// may run on it. What is damaged is left out.
pub fn look(folder: &Path) -> Result<Option<Snapshot>, Problem> {
    Ok(read(folder)?.map(|reading| reading.snapshot))
}

fn read(folder: &Path) -> Result<Option<Reading>, Problem> {
    match Folder::new(folder).read(CHECKPOINT) {
        Ok(bytes) => Ok(Some(format::read(&bytes))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Problem::new(format!("{error}; run this as the agent's user"))),
    }
}

/// Removes what is kept in `folder`. Refused while an agent runs on it. Returns what that means.
pub fn reset(folder: &Path) -> Result<String, Problem> {
    let path = folder.join(CHECKPOINT);
    if !folder.exists() {
        return Ok(none(&path));
    }
    let mut disk = Folder::new(folder);
    disk.claim().map_err(|refusal| match refusal {
        Refusal::Held => held(folder),
        Refusal::Unusable(error) => Problem::new(format!("{error}; run this as the agent's user")),
    })?;
    disk.remove(NEW).ok();
    match disk.remove(CHECKPOINT).and_then(|()| disk.sync_folder()) {
        Ok(()) => Ok(format!(
            "{} is removed. The next start is a first start: containers that run by then are \
             followed from then on, or shipped from the beginning of their logs with \
             DOWNSPOUT_BACKLOG=true.\n",
            path.display()
        )),
        Err(error) if is_missing(&error) => Ok(none(&path)),
        Err(error) => Err(Problem::new(format!("{error}; run this as the agent's user"))),
    }
}

fn none(path: &Path) -> String {
    format!("{} does not exist: the next start is a first start.\n", path.display())
}

fn table(text: &mut String, kept: &Kept) {
    if kept.logs.is_empty() {
        text.push_str("  no log yet\n");
        return;
    }
    let mut rows = vec![["CONTAINER", "STDOUT", "STDERR", "FLOOR", "OPEN"].map(str::to_owned)];
    rows.extend(kept.logs.iter().map(|(id, resume)| row(id, resume)));
    let widths = rows.iter().fold([0; 5], |widths, row| {
        let mut cells = row.iter().map(|cell| cell.chars().count());
        widths.map(|width: usize| width.max(cells.next().unwrap_or_default()))
    });
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "  {cell:<width$}").ok();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn row(id: &str, resume: &Resume) -> [String; 5] {
    let stamp = |stamp: Option<Timestamp>| stamp.map_or(NONE.to_owned(), |at| at.to_string());
    let mark = |stream| match resume.cursor.mark(stream) {
        Some(mark) => format!("{} +{}", mark.time, mark.pieces),
        None => NONE.to_owned(),
    };
    [
        id.chars().take(SHORT_ID).collect::<String>().escape_debug().to_string(),
        mark(Stream::Stdout),
        mark(Stream::Stderr),
        stamp(resume.floor),
        stamp(resume.cursor.open()),
    ]
}
