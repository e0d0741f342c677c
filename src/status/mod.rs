//! What the outside may see: a snapshot of every certificate, made from stored facts and the core's
//! own decision, and its forms as JSON, metrics and a page.
//!
//! Nothing here changes anything, and nothing here knows a secret.

mod alert;
mod budget;
mod exposition;
mod http;
mod metrics;
mod page;
mod projection;
mod snapshot;
mod survey;
#[cfg(test)]
pub(crate) mod testing;

pub use alert::{Alert, Severity};
pub use budget::{BudgetLeft, budget_left};
pub use http::{Live, Site, serve};
pub use metrics::{ApiCalls, Metrics};
pub use snapshot::{FailureView, Next, Snapshot, TargetState, TargetView};
pub use survey::{Facts, survey};
