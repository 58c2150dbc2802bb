//! Limits of the number of requests per client.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use super::identity::Peer;
use super::problem::Problem;

/// Factor by which a burst exceeds the requests of a second.
const BURST: u32 = 4;
/// Number of requests after which clients without recent requests are forgotten.
const FORGET_AFTER: u32 = 1000;

/// The maximum number of requests per second and client.
#[derive(Debug)]
pub(super) struct RateLimit {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    requests: AtomicU32,
}

impl RateLimit {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let burst = per_second.saturating_mul(NonZeroU32::new(BURST).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: DefaultKeyedRateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            requests: AtomicU32::new(0),
        }
    }

    /// Counts a request of a client; fails if the client exceeds the limit.
    pub(super) fn check(&self, client: Peer) -> Result<(), Problem> {
        if self
            .requests
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(FORGET_AFTER)
        {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&client.network()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            let seconds = u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many requests")
                .retry_after(seconds)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_limit() {
        let limit = RateLimit::new(NonZeroU32::MIN);
        let [one, other] = ["192.0.2.1", "2001:db8::1"].map(|ip| Peer(ip.parse().unwrap()));
        for _ in 0..BURST {
            assert!(limit.check(one).is_ok());
        }
        assert!(limit.check(one).is_err());
        assert!(limit.check(other).is_ok());
    }
}
