//! Where lines come from.

/// The Docker Engine as a source.
pub mod docker;
