//! Numbered lines that look like the log of a web server, and compress like one: about four times,
//! where the padding of other lines nearly vanishes. The same lines in every run.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::sink::{DIGITS, MARKER};

/// Where containers see the file.
const MOUNT: &str = "/access.log";

const METHODS: [&str; 4] = ["GET", "GET", "GET", "POST"];
const PLACES: [&str; 8] =
    ["orders", "items", "users", "search", "cart", "login", "static/main.js", "health"];
const STATUSES: [u64; 8] = [200, 200, 200, 200, 200, 304, 404, 500];
const AGENTS: [&str; 4] =
    ["curl/8.5.0", "Go-http-client/2.0", "Mozilla/5.0 (X11; Linux x86_64)", "okhttp/4.12"];

/// A file of lines.
#[derive(Debug)]
pub(crate) struct AccessLog {
    path: PathBuf,
}

impl AccessLog {
    /// Writes so many lines that are so long without their ends into a folder with an absolute path.
    pub(crate) fn write(folder: &Path, lines: u64, line_bytes: usize) -> Self {
        let path = folder.join("access.log");
        let mut file = BufWriter::new(File::create(&path).unwrap());
        let mut random = Random(1);
        for number in 0..lines {
            let line = format!("{MARKER}{number:0DIGITS$} {}", random.request());
            writeln!(file, "{line:_<line_bytes$.line_bytes$}").unwrap();
        }
        file.flush().unwrap();
        Self { path }
    }

    /// What `docker run` needs for the file to be there.
    pub(crate) fn mount(&self) -> String {
        format!("--volume={}:{MOUNT}:ro", self.path.display())
    }

    /// What the shell of a container runs that prints it as fast as it can.
    pub(crate) fn printing() -> String {
        format!("cat {MOUNT}")
    }
}

/// Xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn request(&mut self) -> String {
        format!(
            "10.{}.{}.7 - \"{} /api/v1/{}/{} HTTP/1.1\" {} {} 0.{:03} {:08x} \"{}\"",
            self.below(8),
            self.below(250),
            self.of(&METHODS),
            self.of(&PLACES),
            self.below(5_000),
            self.of(&STATUSES),
            self.below(20_000),
            self.below(1_000),
            self.below(1 << 32),
            self.of(&AGENTS),
        )
    }
}
