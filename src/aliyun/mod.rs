//! The Alibaba Cloud client: signed RPC calls to its VOD, certificate and DNS services.
//!
//! | module | holds |
//! |---|---|
//! | [`client`] | settings of a cloud, and the one signed call |
//! | [`vod`] | certificates of VOD acceleration domains |
//! | [`alidns`] | zones and TXT records |
//! | [`cas`] | certificates as they are stored |
//! | [`code`] | every known error code, and what it asks of us |
//! | [`error`] | why a call failed, and the failure that it amounts to |
//! | [`credentials`] | access keys: where they come from, and how temporary ones are kept fresh |
//! | [`rate`] | the limiter ahead of the APIs |
//! | `transport` | one call on the wire |
//! | `request` | one request as it is sent, pure |
//! | `sign` | the signatures, pure |
//!
//! Every method tries **once** and reports, but for what [`client`] says of a wrong clock
//! and of credentials that were taken back. A call waits
//! for its turn, so that the account's limit is kept, and for nothing else; nothing here stores
//! anything or knows what a certificate is due for.

pub mod action;
pub mod alidns;
mod answer;
pub mod cas;
pub mod client;
pub mod code;
pub mod credentials;
pub mod error;
mod named_time;
mod parameters;
pub mod rate;
mod request;
mod scrub;
mod sign;
#[cfg(test)]
mod testing;
mod transport;
pub mod vod;

pub use action::Action;
pub use client::{Client, Cloud, Endpoints};
pub use code::Code;
pub use credentials::{
    AssumeRole, CredentialSource, Credentials, CredentialsError, Environment, RoleArn,
};
pub use error::{ApiError, Cause, Refusal};
pub use rate::{Limiter, Rate};
pub use sign::Signature;
