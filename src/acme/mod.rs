//! The conversation with a CA in ACME (RFC 8555), with renewal information (RFC 9773).
//!
//! Built on `instant-acme`, through an HTTP client of our own that keeps what the library drops:
//! status, headers and body of every answer. What went wrong is read from there and never from the
//! library's texts.
//!
//! ```text
//! Ca ── directory::fetch, renewal_info::ask      plain GETs
//!  └─ account::open ─► Account ── Order::begin / Order::resume ─► Order
//!                                   proofs ► answer ► wait_ready ► finalize ► download ─► Chain
//!                                                                     chain::check_issued ◄──┘
//! ```
//!
//! Every operation is tried **once** and reports an [`AcmeError`], whose [`AcmeError::failure`] says
//! what to do; only a refused nonce is repeated here, because it says nothing about the request. No
//! proof is published here (this module knows no DNS) and nothing is stored: the caller stores the
//! account key, the order's URL, the leaf key and its request before they are used.

pub mod account;
mod authorization;
mod ca;
pub mod chain;
pub mod directory;
mod error;
mod failure;
mod order;
mod poll;
mod problem;
pub mod renewal_info;
mod transport;

pub use account::{Account, Opened};
pub use authorization::Proof;
pub use ca::{Ca, CaUrlError};
pub use error::{AcmeError, Cause, Operation, Refusal, Rejection};
pub use order::{NewOrder, Order, OrderState};
pub use problem::{Problem, ProblemType, Subproblem};

#[cfg(test)]
mod tests;
