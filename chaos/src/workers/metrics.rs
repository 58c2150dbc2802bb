//! Scrapes of the metrics of workers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Values by series: a name with its labels.
pub(crate) type Metrics = BTreeMap<String, f64>;

/// Maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the status and the body of a path at the operations port.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let request = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        let (head, body) = text.split_once("\r\n\r\n").context("not an HTTP response")?;
        let status = head.get(9..12).unwrap_or_default().parse()?;
        anyhow::Ok((status, body.to_owned()))
    };
    tokio::time::timeout(TIMEOUT, request)
        .await
        .context("no response")?
}

/// Returns the current metrics of a worker.
pub(crate) async fn scrape(address: SocketAddr) -> anyhow::Result<Metrics> {
    Ok(parse(&get(address, "/metrics").await?.1))
}

fn parse(text: &str) -> Metrics {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let values = series.filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    values.collect()
}

/// Returns the sum of the series of a metric that have all these labels.
pub(crate) fn sum(metrics: &Metrics, name: &str, labels: &[&str]) -> f64 {
    let of_metric = metrics.iter().filter(|(series, _)| {
        let (own, rest) = series.split_once('{').unwrap_or((series, ""));
        own == name && labels.iter().all(|label| rest.contains(label))
    });
    // An empty sum of floats is negative zero.
    of_metric.map(|(_, value)| value).sum::<f64>() + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# HELP a_total x\na_total{outcome=\"completed\",error_type=\"\"} 2\n\
                    a_total{outcome=\"failed\",error_type=\"X\"} 3\na_total_more 9\nb 1.5\n";
        let metrics = parse(text);
        assert_eq!(sum(&metrics, "a_total", &[]), 5.0);
        assert_eq!(sum(&metrics, "a_total", &["outcome=\"failed\""]), 3.0);
        assert_eq!(sum(&metrics, "b", &[]), 1.5);
        assert_eq!(sum(&metrics, "c", &[]), 0.0);
    }
}
