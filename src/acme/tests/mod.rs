//! The conversation against a CA that says what a test tells it to.

mod account;
mod chain;
mod fake;
mod lost_answers;
mod order;
mod problem;
mod renewal_info;
mod replacement;
mod transport;
