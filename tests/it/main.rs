//! The integration tests, one binary.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test plays the outside and fails by panicking"
)]

mod acme;
mod aliyun;
mod cli;
mod cloud;
mod daemon;
mod live;
mod solver;
mod support;
mod target;
mod tidy;
