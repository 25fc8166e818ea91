//! Positions that outlive the agent: cursors ↔ one file, replaced as a whole. Never knows what a
//! log is, and never refuses a start because of what is in the file.

mod crc;
mod disk;
mod format;
mod inspect;
mod store;
mod writer;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;

use crate::lane::Kept;

pub use inspect::{Shown, look, reset, show};
pub use store::Store;
pub use writer::Writer;

/// What is kept of all destinations, by name.
pub type Snapshot = BTreeMap<String, Kept>;
