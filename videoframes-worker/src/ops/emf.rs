//! Metrics as lines of the CloudWatch embedded metric format (EMF).
//!
//! The lines come from the text exposition, so that Prometheus and CloudWatch get the same metrics. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "videoframes";
/// The only dimension. CloudWatch bills each combination of dimension values as a separate metric.
const DIMENSION: &str = "service";

/// Converts text expositions to EMF lines. Counters and histograms are reported as increments since the previous exposition.
#[derive(Debug, Default)]
pub(super) struct Emf {
    previous: BTreeMap<String, f64>,
}

/// Labels of a series without `le`.
type Labels = BTreeMap<String, String>;

/// The measurements of one combination of labels, by the name of the metric.
type Measurements = BTreeMap<String, Value>;

impl Emf {
    /// Returns one line per combination of labels, without line breaks. `time` is in milliseconds of Unix time.
    pub(super) fn lines(&mut self, exposition: &str, time: u64) -> Vec<String> {
        let mut kinds = BTreeMap::new();
        let mut measured: BTreeMap<Labels, Measurements> = BTreeMap::new();
        // Increments of the cumulative buckets of histograms, in order of their limits.
        let mut buckets: BTreeMap<(String, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for line in exposition.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                kinds.extend(declared.split_once(' '));
                continue;
            }
            let Some(sample) = Sample::parse(line) else {
                continue;
            };
            if let Some((family, limit)) = sample.bucket(&kinds) {
                let increment = self.increment(&sample);
                buckets
                    .entry((family, sample.labels))
                    .or_default()
                    .push((limit, increment));
                continue;
            }
            let value = match kinds.get(sample.name) {
                Some(&"counter") => self.increment(&sample),
                Some(&"gauge") => sample.value,
                // Sums and counts of histograms follow from the buckets.
                _ => continue,
            };
            let metrics = measured.entry(sample.labels).or_default();
            metrics.insert(sample.name.to_owned(), json!(value));
        }
        for ((family, labels), cumulative) in buckets {
            if let Some(distribution) = distribution(&cumulative) {
                measured.entry(labels).or_default().insert(family, distribution);
            }
        }
        let line = |(labels, metrics)| line(labels, metrics, time);
        measured.into_iter().map(line).collect()
    }

    fn increment(&mut self, sample: &Sample<'_>) -> f64 {
        let previous = self.previous.insert(sample.series.to_owned(), sample.value);
        sample.value - previous.unwrap_or_default()
    }
}

/// One line of a text exposition.
struct Sample<'a> {
    /// Name and labels, as in the line.
    series: &'a str,
    name: &'a str,
    labels: Labels,
    limit: Option<f64>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// Returns `None` for comments and empty lines.
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        if series.starts_with('#') {
            return None;
        }
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, parse_labels(labels.strip_suffix('}')?)),
            None => (series, Labels::new()),
        };
        let mut labels = labels;
        let limit = labels.remove("le").and_then(|limit| limit.parse().ok());
        Some(Self {
            series,
            name,
            labels,
            limit,
            value: value.parse().ok()?,
        })
    }

    /// Returns the name of the histogram and the limit, if the sample is a bucket.
    fn bucket(&self, kinds: &BTreeMap<&str, &str>) -> Option<(String, f64)> {
        let family = self.name.strip_suffix("_bucket")?;
        let is_histogram = kinds.get(family) == Some(&"histogram");
        Some((family.to_owned(), self.limit.filter(|_| is_histogram)?))
    }
}

/// Parses `a="b",c="d"`; values may contain escaped characters.
fn parse_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c)) => value.push(c),
                    None => {}
                },
                '"' => {
                    end = at + 1;
                    break;
                }
                c => value.push(c),
            }
        }
        labels.insert(name.trim_start_matches(',').to_owned(), value);
        rest = &after[end..];
    }
    labels
}

/// Returns values with their counts, or `None` without an increment. Each value is the upper limit of its bucket.
fn distribution(cumulative: &[(f64, f64)]) -> Option<Value> {
    let finite = cumulative.iter().rev().find(|(limit, _)| limit.is_finite());
    let highest = finite.map_or(0.0, |(limit, _)| *limit);
    let (mut values, mut counts) = (Vec::new(), Vec::new());
    let mut below = 0.0;
    for (limit, total) in cumulative {
        if *total > below {
            values.push(limit.min(highest));
            counts.push(total - below);
            below = *total;
        }
    }
    (!values.is_empty()).then(|| json!({"Values": values, "Counts": counts}))
}

fn line(labels: Labels, metrics: Measurements, time: u64) -> String {
    let described: Vec<_> = metrics
        .keys()
        .map(|name| json!({"Name": name, "Unit": unit(name)}))
        .collect();
    let directive = json!({
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": described,
    });
    let mut object = Map::new();
    object.insert(
        "_aws".to_owned(),
        json!({"Timestamp": time, "CloudWatchMetrics": [directive]}),
    );
    object.insert(DIMENSION.to_owned(), crate::service::NAME.into());
    object.extend(labels.into_iter().map(|(name, value)| (name, value.into())));
    object.extend(metrics);
    Value::Object(object).to_string()
}

/// Returns the CloudWatch unit for the suffix of a metric name.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total") {
        name if name.ends_with("_seconds") => "Seconds",
        name if name.ends_with("_bytes") => "Bytes",
        _ => "Count",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(lines: Vec<String>) -> Vec<Value> {
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn exposition(failed: u32, slow: u32) -> String {
        format!(
            "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n\
             jobs_total{{outcome=\"failed\",error_type=\"A \\\"b\\\"\"}} {failed}\n\n\
             # TYPE slots gauge\nslots 4\n\
             # TYPE wait_seconds histogram\n\
             wait_seconds_bucket{{le=\"1\"}} 2\nwait_seconds_bucket{{le=\"5\"}} {}\n\
             wait_seconds_bucket{{le=\"+Inf\"}} {}\nwait_seconds_sum 9\nwait_seconds_count 5\n",
            2 + slow,
            3 + slow
        )
    }

    #[test]
    fn counters_are_increments_and_gauges_are_values() {
        let mut emf = Emf::default();
        emf.lines(&exposition(3, 1), 1);
        let lines = parsed(emf.lines(&exposition(5, 1), 77));
        assert_eq!(lines.len(), 2, "one line per combination of labels: {lines:?}");
        let of = |name: &str| lines.iter().find(|line| line.get(name).is_some()).unwrap();
        let jobs = of("jobs_total");
        assert_eq!(
            (&jobs["jobs_total"], &jobs["outcome"]),
            (&json!(2.0), &json!("failed"))
        );
        assert_eq!(jobs["error_type"], "A \"b\"");
        assert_eq!(
            jobs["_aws"],
            json!({"Timestamp": 77, "CloudWatchMetrics": [{
                "Namespace": "videoframes",
                "Dimensions": [["service"]],
                "Metrics": [{"Name": "jobs_total", "Unit": "Count"}],
            }]})
        );
        assert_eq!(of("slots")["slots"], 4.0);
        assert!(of("slots").get("wait_seconds").is_none(), "no value was recorded");
    }

    #[test]
    fn histograms_are_values_with_counts() {
        let mut emf = Emf::default();
        let lines = parsed(emf.lines(&exposition(0, 0), 1));
        let of = |lines: &[Value]| lines.iter().find_map(|line| line.get("wait_seconds").cloned());
        // Values of the +Inf bucket are reported as the highest finite limit.
        assert_eq!(
            of(&lines),
            Some(json!({"Values": [1.0, 5.0], "Counts": [2.0, 1.0]}))
        );
        let lines = parsed(emf.lines(&exposition(0, 6), 1));
        assert_eq!(of(&lines), Some(json!({"Values": [5.0], "Counts": [6.0]})));
    }
}
