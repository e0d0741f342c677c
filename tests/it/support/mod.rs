//! A whole scene around one daemon: cloud, edge, DNS, a real Pebble, a folder with configuration and
//! store, and the daemon itself, in this process or as the binary.

mod daemon;
mod database;
mod scene;
mod seed;
mod tally;

pub(crate) use daemon::Process;
pub(crate) use database::HELD;
pub(crate) use scene::{PATIENCE, Scene, target};
pub(crate) use tally::{READ, SET};
