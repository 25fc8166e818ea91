//! downspout ships the logs of all containers of a Docker host.
//!
//! The container's log is the buffer; every destination keeps a cursor in it; the cursor moves
//! only when the destination has acknowledged. The modules stand in the order in which a line
//! travels; `tests/architecture.rs` holds who may import whom.

#![forbid(unsafe_op_in_unsafe_fn)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

/// Wires the stages once: build, run, stop in reverse. The only module that knows all of them.
pub mod app;
/// Environment and arguments to a checked `Config`, help and reference from the same table.
pub mod config;
/// What will hurt on this host, each with its cure: `downspout doctor`.
pub mod doctor;
/// What becomes of one container's lines, and why: `downspout explain`.
pub mod explain;

// ── the path of a line ──────────────────────────────────────────────────────────────────────

/// Pieces to whole lines: a state machine without I/O and without a clock.
pub mod assemble;
/// Positions that outlive the agent: cursors to one file, atomically, and back.
pub mod checkpoint;
/// One loop per destination: pick, encode, send, settle, reconnect.
pub mod deliver;
/// Lines to frames: RFC 5424, RFC 3164, raw, JSON, terminal.
pub mod encode;
/// A list of addresses as one output: fail-over, and the way back.
pub mod failover;
/// Bounded, fair queues between the followers and one destination.
pub mod lane;
/// Frames to one peer: the trait and the table of outputs.
pub mod output;
/// What travels: containers, lines, chunks, and the cursors that settle them.
pub mod record;
/// A route URI to a checked `Route`.
pub mod route;
/// Which containers a route ships, and what their labels ask for.
pub mod select;
/// Where lines come from: Docker, or a replay of numbered lines.
pub mod source;
/// What a peer takes that keeps streams of events: batches, and its answers to them.
pub mod store;
/// Go's templates over containers and their lines.
pub mod template;

// ── beside the path ─────────────────────────────────────────────────────────────────────────

/// HTTP for health checks and scrapes.
pub mod admin;
/// What the C library does with memory that was given back.
pub mod allocator;
/// Delays between attempts.
pub mod backoff;
/// Strings as JSON wants them.
mod json;
/// Counters and their text format.
pub mod metrics;
/// Name resolution, connections, TLS, and what the kernel knows of a socket.
pub mod net;
/// Options of a route: a table row each, taken one by one, leftovers refused.
pub mod options;
/// Percent-encoding of what is only looked at.
mod percent;
/// Routes as JSON objects, and the folder of those that were made over HTTP.
pub mod registry;
/// The two-phase end and the supervised set of tasks.
pub mod shutdown;
/// Live tails: what is printed just now, for whoever looks.
pub mod tail;
/// Text of strangers, for terminals.
mod terminal;
