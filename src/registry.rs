//! Routes as logspout's users write and read them: a JSON object each, and a folder of them that
//! outlives the agent. Never opens a route, never decides whether one is right.

mod folder;
mod object;

pub use folder::{Folder, MOST_FILE_BYTES, MOST_ROUTES};
pub use object::{Object, is_id};
