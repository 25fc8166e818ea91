//! The Docker Engine as a source of lines.

/// What is called of the Engine: HTTP over a unix socket, TCP or TLS; no policy, no retry.
pub mod engine;
