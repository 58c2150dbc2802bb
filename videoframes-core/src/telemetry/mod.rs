//! Metrics: names, units and labels, and their recording through the `metrics` facade.
//!
//! Any recorder that the program installs receives the metrics. [`METRICS`] lists them, [`register`] describes them to
//! the recorder and creates every series with known labels at zero, so that the first increase of a counter is visible.

mod catalog;
mod metric;

pub use self::catalog::METRICS;
pub use self::metric::{Labels, Metric, MetricKind, register};
