//! The description of a metric, and its registration.

use metrics::{
    SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// A number of events since the start.
    Counter,
    /// A current value.
    Gauge,
    /// A distribution of values.
    Histogram,
}

impl MetricKind {
    /// Returns `counter`, `gauge` or `histogram`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The labels of a metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Labels {
    /// No labels: one series.
    None,
    /// Each combination of these values is a series.
    Product(&'static [(&'static str, &'static [&'static str])]),
    /// Names of two labels, and the pairs of their values.
    Pairs(
        &'static str,
        &'static str,
        fn() -> Vec<(&'static str, &'static str)>,
    ),
    /// Values known only at run time, such as a version.
    Open(&'static [&'static str]),
}

impl Labels {
    /// Returns the names of the labels.
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::None => Vec::new(),
            Self::Product(labels) => labels.iter().map(|(name, _)| *name).collect(),
            Self::Pairs(first, second, _) => vec![first, second],
            Self::Open(names) => names.to_vec(),
        }
    }

    /// Returns the labels of each series that is known in advance.
    pub fn series(&self) -> Vec<Vec<(&'static str, &'static str)>> {
        match self {
            Self::None => vec![Vec::new()],
            Self::Product(labels) => {
                let mut series = vec![Vec::new()];
                for (name, values) in *labels {
                    series = series
                        .iter()
                        .flat_map(|labels: &Vec<_>| {
                            values
                                .iter()
                                .map(|value| [&labels[..], &[(*name, *value)]].concat())
                        })
                        .collect();
                }
                series
            }
            Self::Pairs(first, second, pairs) => {
                let labels = |(a, b)| vec![(*first, a), (*second, b)];
                pairs().into_iter().map(labels).collect()
            }
            Self::Open(_) => Vec::new(),
        }
    }
}

/// The description of a metric.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Metric {
    /// Kind of the metric.
    pub kind: MetricKind,
    /// Name, with the unit as suffix and `_total` for counters.
    pub name: &'static str,
    /// Unit of the values.
    pub unit: Unit,
    /// Meaning in one sentence.
    pub help: &'static str,
    /// Labels of the series.
    pub labels: Labels,
}

impl Metric {
    /// Returns the description of a metric without labels.
    pub const fn new(kind: MetricKind, name: &'static str, unit: Unit, help: &'static str) -> Self {
        Self {
            kind,
            name,
            unit,
            help,
            labels: Labels::None,
        }
    }

    /// Sets the labels.
    #[must_use]
    pub const fn labels(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }
}

/// Describes metrics to the installed recorder, and creates their known series.
pub fn register(metrics: &'static [Metric]) {
    for metric in metrics {
        let help = SharedString::const_str(metric.help);
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, metric.unit, help),
            MetricKind::Gauge => describe_gauge!(metric.name, metric.unit, help),
            MetricKind::Histogram => describe_histogram!(metric.name, metric.unit, help),
        }
        for labels in metric.labels.series() {
            match metric.kind {
                MetricKind::Counter => counter!(metric.name, &labels).increment(0),
                MetricKind::Gauge => gauge!(metric.name, &labels).increment(0.0),
                // Created without a value.
                MetricKind::Histogram => drop(histogram!(metric.name, &labels)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_the_combinations_of_label_values() {
        let labels = Labels::Product(&[("a", &["1", "2"]), ("b", &["x", "y"])]);
        assert_eq!(
            labels.series(),
            [
                [("a", "1"), ("b", "x")],
                [("a", "1"), ("b", "y")],
                [("a", "2"), ("b", "x")],
                [("a", "2"), ("b", "y")],
            ]
        );
        assert_eq!(Labels::None.series(), [[]]);
        assert!(Labels::Open(&["version"]).series().is_empty());
    }
}
