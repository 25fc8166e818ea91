//! Connections: names to addresses, TLS, and what the kernel knows of a socket. Knows nothing of
//! frames, records or when to try again.

/// Names to addresses to connected TCP sockets.
pub mod dial;
/// What only the kernel knows of a socket. Its code is unsafe, as no crate wraps these calls.
pub mod kernel;
/// A byte stream to a peer that says how far the peer has it.
pub mod link;
/// One server over TCP, plain or in TLS: shared options, and the way to a link.
pub mod server;
/// Certificates, keys, trust, and the handshake.
pub mod tls;
