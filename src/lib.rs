//! downspout ships the logs of all containers of a Docker host.
//!
//! The container's log is the buffer; every destination keeps a cursor in it; the cursor moves
//! only when the destination has acknowledged. The modules stand in the order in which a line
//! travels; `tests/architecture.rs` holds who may import whom.

#![forbid(unsafe_op_in_unsafe_fn)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")
)]


// ── the path of a line ──────────────────────────────────────────────────────────────────────

/// Where lines come from: Docker, or a replay of numbered lines.
pub mod source;
/// What travels: containers, lines, chunks, and the cursors that settle them.
pub mod record;

// ── beside the path ─────────────────────────────────────────────────────────────────────────

/// Options of a route: a table row each, taken one by one, leftovers refused.
pub mod options;
/// Delays between attempts.
pub mod backoff;
/// The two-phase end and the supervised set of tasks.
pub mod shutdown;
/// Counters and their text format.
pub mod metrics;
