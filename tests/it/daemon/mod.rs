//! The daemon as a whole, with real protocols on all sides.

mod budget;
mod ca_faults;
mod clock;
mod cloud_faults;
mod crash;
mod credentials;
mod hygiene;
mod expired;
mod leftovers;
mod life;
mod lost_answers;
mod methods;
mod ownership;
mod process;
mod rate;
mod rate_limits;
mod slots;
mod upkeep;
