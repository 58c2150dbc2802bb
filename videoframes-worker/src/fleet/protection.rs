//! Protection of an ECS task from scale-in while it processes jobs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use videoframes_core::error::chain;
use videoframes_core::processor::Monitor;

/// Address of the ECS agent.
const AGENT: &str = "ECS_AGENT_URI";
/// Time in minutes after which the protection ends unless it is renewed. Short: a protected task also delays deployments.
const EXPIRES_MINUTES: u64 = 5;
/// Interval between renewals.
const RENEWAL: Duration = Duration::from_secs(60);
/// Time without a job after which the protection is dropped. Longer than the gap between two jobs of a backlog, and short
/// enough that a worker with gaps between its jobs can be stopped.
const IDLE: Duration = Duration::from_secs(1);
/// Time until the next attempt after a failed request.
const RETRY: Duration = Duration::from_secs(5);
/// Maximum time of a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Protects the task of this process.
pub(crate) struct Protection {
    address: String,
    client: reqwest::Client,
}

/// The protection as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The task is not protected.
    No,
    /// The task is protected; the protection was last renewed at this time.
    Since(Instant),
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Protect,
    Drop,
    /// Nothing until this time, or until the number of jobs changes.
    WaitUntil(Instant),
    /// Nothing until the number of jobs changes.
    Wait,
}

/// Returns the next step of a worker that is busy, or idle since a time.
fn next(held: Held, idle_since: Option<Instant>, now: Instant) -> Step {
    match (held, idle_since) {
        (Held::No, None) => Step::Protect,
        (Held::No, Some(_)) => Step::Wait,
        (Held::Since(renewed), None) if now >= renewed + RENEWAL => Step::Protect,
        (Held::Since(renewed), None) => Step::WaitUntil(renewed + RENEWAL),
        (Held::Since(_), Some(since)) if now >= since + IDLE => Step::Drop,
        (Held::Since(_), Some(since)) => Step::WaitUntil(since + IDLE),
    }
}

impl Protection {
    /// Returns the protection by the ECS agent; `None` outside of ECS.
    pub(crate) fn from_environment() -> Option<Self> {
        let agent = std::env::var(AGENT).ok().filter(|agent| !agent.is_empty())?;
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build();
        match client {
            Ok(client) => Some(Self {
                address: format!("{agent}/task-protection/v1/state"),
                client,
            }),
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "failed to create a client for the ECS agent"
                );
                None
            }
        }
    }

    /// Protects the task while a slot has a message, until `stop`; then drops the protection.
    pub(crate) async fn run(self, monitor: Monitor, stop: CancellationToken) {
        let mut busy = monitor.busy_slots();
        let mut held = Held::No;
        let mut idle_since = Some(Instant::now());
        let mut was_set = true;
        while !stop.is_cancelled() {
            idle_since = match *busy.borrow_and_update() {
                0 => idle_since.or_else(|| Some(Instant::now())),
                _ => None,
            };
            let step = next(held, idle_since, Instant::now());
            let until = match step {
                Step::Wait => None,
                Step::WaitUntil(until) => Some(until),
                Step::Protect | Step::Drop => {
                    let protect = step == Step::Protect;
                    let is_set = self.set(protect, was_set).await;
                    match (is_set, protect) {
                        (true, true) => held = Held::Since(Instant::now()),
                        (true, false) => held = Held::No,
                        (false, _) => {}
                    }
                    was_set = is_set;
                    // Decides again at once, or after a pause.
                    Some(Instant::now() + if is_set { Duration::ZERO } else { RETRY })
                }
            };
            tokio::select! {
                _ = busy.changed() => {}
                () = pause(until) => {}
                () = stop.cancelled() => {}
            }
        }
        if held != Held::No {
            self.set(false, true).await;
        }
    }

    /// Sets the protection; returns whether that succeeded. `warns` reports a failure in the log.
    async fn set(&self, protect: bool, warns: bool) -> bool {
        let result = self.request(protect).await;
        match &result {
            Ok(()) => tracing::debug!(protect, "set the scale-in protection of the task"),
            Err(reason) if warns => {
                tracing::warn!(
                    protect,
                    error = reason,
                    "failed to set the scale-in protection of the task"
                );
            }
            Err(_) => {}
        }
        result.is_ok()
    }

    async fn request(&self, protect: bool) -> Result<(), String> {
        let request = match protect {
            true => json!({"ProtectionEnabled": true, "ExpiresInMinutes": EXPIRES_MINUTES}),
            false => json!({"ProtectionEnabled": false}),
        };
        let answer = self.client.put(&self.address).json(&request).send().await;
        let answer = answer.map_err(|error| chain(&error))?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| chain(&error))?;
        check(status.is_success(), &body, protect).map_err(|reason| format!("{status}: {reason}"))
    }
}

/// Returns the reason of a refusal: the agent answers some failures with a successful status.
fn check(success: bool, body: &Value, protect: bool) -> Result<(), String> {
    let is_enabled = body["protection"]["ProtectionEnabled"].as_bool();
    if success && is_enabled == Some(protect) {
        return Ok(());
    }
    let reasons = [
        &body["failure"]["Reason"],
        &body["failure"]["Detail"],
        &body["error"]["Message"],
    ];
    let reasons: Vec<&str> = reasons.into_iter().filter_map(Value::as_str).collect();
    Err(match reasons.is_empty() {
        true => "unexpected answer".to_owned(),
        false => reasons.join(": "),
    })
}

async fn pause(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_protection_is_renewed_while_busy_and_dropped_after_a_pause() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (held, idle_since, now, expected) in [
            (Held::No, Some(at(0)), at(100), Step::Wait),
            (Held::No, None, at(0), Step::Protect),
            (Held::Since(at(0)), None, at(59), Step::WaitUntil(at(60))),
            (Held::Since(at(0)), None, at(60), Step::Protect),
            (Held::Since(at(0)), Some(at(10)), at(10), Step::WaitUntil(at(11))),
            (Held::Since(at(0)), Some(at(10)), at(11), Step::Drop),
        ] {
            assert_eq!(next(held, idle_since, now), expected, "{held:?} {idle_since:?}");
        }
    }

    #[test]
    fn a_refusal_of_the_agent_is_recognized_whatever_its_status() {
        let enabled = json!({"protection": {"ProtectionEnabled": true}});
        let failure = json!({"failure": {"Reason": "DEPLOYMENT_BLOCKED", "Detail": "x"}});
        let error = json!({"error": {"Code": "ThrottlingException", "Message": "slow down"}});
        for (success, body, protect, expected) in [
            (true, &enabled, true, None),
            (true, &enabled, false, Some("unexpected answer")),
            (true, &failure, true, Some("DEPLOYMENT_BLOCKED: x")),
            (false, &error, true, Some("slow down")),
            (false, &enabled, true, Some("unexpected answer")),
        ] {
            assert_eq!(check(success, body, protect).err().as_deref(), expected, "{body}");
        }
    }
}
