//! The other side of vodcertd on one machine, for tests and demonstrations.
//!
//! A [`world::World`] holds what Alibaba Cloud and the DNS would hold; servers on
//! `127.0.0.1` show it: a [`gateway::Gateway`] that checks signatures and changes it, an
//! [`edge::Edge`] that serves installed certificates by TLS, and a [`dns::DnsServer`] that answers
//! for its zones. A [`given::GivingServer`] gives temporary access keys to whoever asks. Every server
//! stops when its handle is dropped.
//!
//! Nothing here is shared with the daemon: what both must agree on (signatures, parameters, error
//! codes) is derived a second time from Alibaba's documentation, so that a misreading on one side
//! shows as a failing test.

pub mod dns;
pub mod edge;
pub mod forge;
pub mod gateway;
pub mod given;
pub mod pebble;
pub mod pem;
mod running;
pub mod world;
