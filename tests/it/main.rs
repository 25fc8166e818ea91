//! The agent as its users run it: the real binary, the real Docker engine, and receivers that
//! count. Lines are numbered where they are printed; what the receiver saw is the oracle.
//!
//! Never looks inside the library: everything goes over sockets, files, signals and the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it passes over"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "receivers are plain threads outside the agent's runtime, on the real clock"
)]
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "scripts are put together once per test; the allocations do not matter"
)]
#![allow(unreachable_pub, reason = "a test crate has no outside")]

mod agent;
mod blackholes;
mod bytes;
mod checkpoint;
mod clock;
mod cloudwatch;
mod cloudwatch_fakes;
mod cloudwatch_moto;
mod deployments;
mod differential;
mod doctor;
mod drivers;
mod engine_faults;
mod explain;
mod failover;
mod fakes;
mod file_faults;
mod image;
mod label_settings;
mod live_tails;
mod lives;
mod logspout_bytes;
mod logspout_failures;
mod logspout_filters;
mod logspout_templates;
mod logspout_tls;
mod logspout_variables;
mod manual;
mod metrics;
mod migrate;
mod multiline;
mod outages;
mod outputs;
mod pages;
mod podman;
mod prometheus;
mod receivers;
mod relp;
mod restarts;
mod rotation;
mod routes_api;
mod scale;
mod secrets;
mod service;
mod stalls;
mod support;
mod survey;
mod swaps;
mod tcp_faults;
mod tls;
