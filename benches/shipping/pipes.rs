//! Named pipes through which the bench drives containers. Needs an engine on this machine.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::containers::printing;

/// Where containers see the pipes.
const MOUNT: &str = "/bench";

/// The pipes, which containers read as `/bench/0`, `/bench/1` and so on.
#[derive(Debug)]
pub(crate) struct Pipes {
    folder: PathBuf,
    pipes: Vec<File>,
}

impl Pipes {
    /// Makes `count` pipes below a folder with an absolute path.
    pub(crate) fn new(folder: &Path, count: usize) -> Self {
        let folder = folder.join("pipes");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let paths: Vec<PathBuf> = (0..count).map(|index| folder.join(index.to_string())).collect();
        let made = Command::new("mkfifo").args(&paths).status().unwrap();
        assert!(made.success(), "mkfifo in {}", folder.display());
        // Open for both, lest opening waits for the container, which waits for us.
        let open = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let pipes = paths.iter().map(open).collect();
        Self { folder, pipes }
    }

    pub(crate) fn count(&self) -> usize {
        self.pipes.len()
    }

    /// What `docker run` needs for the pipes to be there.
    pub(crate) fn mount(&self) -> String {
        format!("--volume={}:{MOUNT}:ro", self.folder.display())
    }

    /// Where the container `index` sees its pipe.
    pub(crate) fn path(index: usize) -> String {
        Self::beside(&index.to_string())
    }

    /// Where containers see a file beside the pipes.
    pub(crate) fn beside(name: &str) -> String {
        format!("{MOUNT}/{name}")
    }

    /// What the shell of a container runs that prints the lines it is told to by `tell`, each
    /// `step`th of them, as fast as it can; for ever, or `once`.
    pub(crate) fn printer(index: usize, step: usize, line_bytes: usize, once: bool) -> String {
        let (printing, path) = (printing("$first", "$end", step, line_bytes), Self::path(index));
        let [word, end] = if once { ["if", "fi"] } else { ["while", "done"] };
        let then = if once { "then" } else { "do" };
        format!("{word} read first end; {then} {printing}; {end} < {path}")
    }

    /// Has the container `index` print the numbers of a range that are its own.
    pub(crate) fn tell(&mut self, index: usize, numbers: Range<u64>) {
        self.write(index, &format!("{} {}\n", numbers.start, numbers.end));
    }

    pub(crate) fn write(&mut self, index: usize, text: &str) {
        self.pipes[index].write_all(text.as_bytes()).unwrap();
    }

    /// A new file beside the pipes, which containers can see.
    pub(crate) fn create(&self, name: &str) {
        File::create(self.folder.join(name)).unwrap();
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}
