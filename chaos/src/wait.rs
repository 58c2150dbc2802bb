//! Waits for conditions.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Maximum time of any wait for a condition. A busy machine needs a part of it.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until a condition holds. An error of the condition counts as false.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    within(PATIENCE, what, holds).await
}

/// Like [`until`], with another limit.
pub(crate) async fn within(
    limit: Duration,
    what: &str,
    holds: impl AsyncFn() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        let error = match holds().await {
            Ok(true) => return Ok(()),
            Ok(false) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        if since.elapsed() > limit {
            bail!("not within {limit:?}: {what}{error}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
