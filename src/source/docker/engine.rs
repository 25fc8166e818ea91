//! What is called of the Docker Engine: HTTP over a unix socket, TCP or TLS.

mod body;

pub use body::{Body, BodyError};
