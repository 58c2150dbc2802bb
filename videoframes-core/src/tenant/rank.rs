//! The order in which a queue serves tenants: self-clocked fair queueing. Pure.
//!
//! The messages of one tenant with one priority are a flow. A message gets a rank when it can be received for the first
//! time: the last rank of its flow, or the virtual time of the queue if that is later, plus its step. The virtual time
//! is the rank of the message that was received last. A receive takes the message with the lowest rank.
//!
//! A step is inversely proportional to the share of the flow. While several flows wait, each is therefore served in
//! proportion to its share, however many messages it has. A message of an idle flow waits for at most one message of
//! every flow with the same share. A flow of low priority never starves: it keeps its small share.

use super::{Priority, Tenant};

/// Step of a message with the weight 1 and the highest priority.
///
/// A multiple of all small weights, so that shares are exact. More than 10^12 steps of the lowest priority fit into a
/// rank.
const UNIT: i64 = 5_040;

/// Factor between the shares of two adjacent priorities.
const FACTOR: i64 = 16;

/// Last part of the name of a flow of redeliveries.
const AGAIN: &str = "again";

/// The share of a tenant relative to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight(u32);

impl Weight {
    /// Maximum weight.
    pub const MAX: u32 = 1000;

    /// Returns a weight; `None` unless the number is 1 to [`Self::MAX`].
    #[must_use]
    pub fn new(weight: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&weight).then_some(Self(weight))
    }

    /// Returns the number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

/// The tenant and the priority of a message, with the weight of the tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Tenant of the message.
    pub tenant: Tenant,
    /// Priority of the message.
    pub priority: Priority,
    /// Weight of the tenant.
    pub weight: Weight,
    /// Whether a message about the same was received before. Such messages form a separate flow: they neither wait for
    /// all other messages of their tenant and priority, nor delay other tenants.
    pub redelivery: bool,
}

impl Share {
    /// Returns the share of a message of a tenant with the weight 1.
    #[must_use]
    pub fn new(tenant: Tenant, priority: Priority) -> Self {
        Self {
            tenant,
            priority,
            weight: Weight::default(),
            redelivery: false,
        }
    }

    /// Returns the share of a stored flow, without the weight of the tenant.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn of_flow(flow: &str) -> Self {
        let (tenant, priority) = flow.split_once('/').unwrap_or_default();
        let (priority, again) = priority.split_once('/').unwrap_or((priority, ""));
        Self::new(Tenant::stored(tenant), priority.parse().unwrap_or_default()).redelivery(again == AGAIN)
    }

    /// Sets whether a message about the same was received before.
    #[must_use]
    pub fn redelivery(self, redelivery: bool) -> Self {
        Self { redelivery, ..self }
    }

    /// Sets the weight of the tenant.
    #[must_use]
    pub fn weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// Returns the name of the flow. A tenant's name has no slash, so flows of different tenants differ.
    pub(crate) fn flow(&self) -> String {
        match self.redelivery {
            false => format!("{}/{}", self.tenant, self.priority),
            true => format!("{}/{}/{AGAIN}", self.tenant, self.priority),
        }
    }

    /// Returns the flow of messages that are redelivered. The retry of a job thus does not wait for all other jobs of
    /// its tenant, and many retries do not delay other tenants.
    pub(crate) fn flow_of_redelivery(&self) -> String {
        redelivered(&self.flow())
    }

    /// Returns the step of a message.
    pub(crate) fn step(&self) -> i64 {
        let lower = match self.priority {
            Priority::High => 1,
            Priority::Normal => FACTOR,
            Priority::Low => FACTOR * FACTOR,
        };
        (UNIT * lower / i64::from(self.weight.get())).max(1)
    }
}

/// Returns the flow of redelivered messages of a flow.
pub(crate) fn redelivered(flow: &str) -> String {
    match flow.rsplit_once('/') {
        Some((_, AGAIN)) => flow.to_owned(),
        _ => format!("{flow}/{AGAIN}"),
    }
}

/// Returns the virtual time of a queue.
///
/// - `received`: highest rank of the messages that were received and not deleted.
/// - `first`: rank of the first message that can be received, minus its step.
/// - `last`: highest last rank of all flows. If no message waits, all flows start again from there.
pub(crate) fn virtual_time(received: Option<i64>, first: Option<i64>, last: Option<i64>) -> i64 {
    received.unwrap_or(0).max(first.or(last).unwrap_or(0))
}

/// Returns the rank of the next message of a flow whose last message had the rank `last`.
pub(crate) fn next_rank(last: Option<i64>, virtual_time: i64, step: i64) -> i64 {
    let start = last.map_or(virtual_time, |last| last.max(virtual_time));
    start.saturating_add(step)
}

/// Returns the ranks of messages of one flow with these steps, of which the last gets the rank `last`.
#[cfg(any(feature = "postgres", feature = "sqlite", test))]
pub(crate) fn ranks(last: i64, steps: &[i64]) -> Vec<i64> {
    let total: i64 = steps.iter().sum();
    let mut rank = last.saturating_sub(total);
    let next = |step: &i64| {
        rank = rank.saturating_add(*step);
        rank
    };
    steps.iter().map(next).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn share(tenant: &str, priority: Priority, weight: u32) -> Share {
        Share::new(tenant.parse().unwrap(), priority).weight(Weight::new(weight).unwrap())
    }

    /// Serves messages that arrived in this order, all before the first receive.
    fn served(arrivals: &[(Share, usize)]) -> Vec<String> {
        let (mut last, mut waiting, mut first) = (HashMap::new(), Vec::new(), None);
        for (share, count) in arrivals {
            for _ in 0..*count {
                let virtual_time = virtual_time(None, first.map(|(rank, step)| rank - step), None);
                let before = last.get(&share.flow()).copied();
                let rank = next_rank(before, virtual_time, share.step());
                last.insert(share.flow(), rank);
                first = Some(first.unwrap_or((i64::MAX, 0)).min((rank, share.step())));
                waiting.push((rank, waiting.len(), share.flow()));
            }
        }
        waiting.sort();
        waiting.into_iter().map(|(.., flow)| flow).collect()
    }

    fn position(served: &[String], flow: &str) -> usize {
        served.iter().position(|each| each == flow).unwrap()
    }

    #[test]
    fn a_single_message_waits_for_one_message_of_each_other_tenant() {
        use Priority::{High, Low, Normal};
        let many = 20_000;
        let one = |priority| (share("one", priority, 1), 1);
        for (arrivals, flow, expected) in [
            (
                vec![(share("many", Normal, 1), many), one(Normal)],
                "one/normal",
                1..=1,
            ),
            (vec![(share("many", Low, 1), many), one(Low)], "one/low", 1..=1),
            // A higher priority is served first.
            (
                vec![(share("many", Normal, 1), many), one(High)],
                "one/high",
                0..=0,
            ),
            (
                vec![(share("many", Low, 1), many), one(Normal)],
                "one/normal",
                0..=0,
            ),
            // A lower priority waits for 16 messages of the next one, and never for all.
            (
                vec![(share("many", High, 1), many), one(Normal)],
                "one/normal",
                16..=16,
            ),
            (
                vec![(share("many", High, 1), many), one(Low)],
                "one/low",
                256..=256,
            ),
            (
                vec![
                    (share("a", Normal, 1), 50),
                    (share("b", Normal, 1), 50),
                    one(Normal),
                ],
                "one/normal",
                2..=2,
            ),
            // A tenant with another weight is served in proportion.
            (
                vec![(share("many", Normal, 5), many), one(Normal)],
                "one/normal",
                5..=5,
            ),
        ] {
            let position = position(&served(&arrivals), flow);
            assert!(expected.contains(&position), "{flow}: {position}");
        }
    }

    #[test]
    fn tenants_are_served_in_proportion_to_their_weights() {
        let arrivals = [
            (share("a", Priority::Normal, 1), 400),
            (share("b", Priority::Normal, 3), 400),
        ];
        let first = &served(&arrivals)[..400];
        let b = first.iter().filter(|flow| *flow == "b/normal").count();
        assert!((299..=301).contains(&b), "{b}");
    }

    #[test]
    fn the_virtual_time_is_the_rank_of_the_last_receive() {
        for (received, first, last, expected) in [
            (None, None, None, 0),
            (None, None, Some(90), 90),
            (Some(70), None, Some(90), 90),
            (Some(70), Some(60), Some(90), 70),
            // The first message has a low priority, and others were served since it arrived.
            (Some(70), Some(-10), Some(90), 70),
            // The message that was received last is deleted already.
            (Some(20), Some(60), Some(90), 60),
            (None, Some(60), Some(90), 60),
        ] {
            assert_eq!(
                virtual_time(received, first, last),
                expected,
                "{received:?} {first:?} {last:?}"
            );
        }
    }

    #[test]
    fn an_idle_flow_neither_saves_up_nor_owes() {
        for (last, virtual_time, expected) in [
            (None, 0, 10),
            (None, 70, 80),
            (Some(20), 70, 80),
            (Some(90), 70, 100),
            (Some(i64::MAX), 70, i64::MAX),
        ] {
            assert_eq!(
                next_rank(last, virtual_time, 10),
                expected,
                "{last:?} {virtual_time}"
            );
        }
    }

    #[test]
    fn messages_of_a_batch_have_the_ranks_of_single_messages() {
        let steps = [3, 5, 5];
        let mut last = Some(100);
        let single: Vec<i64> = steps
            .iter()
            .map(|step| {
                last = Some(next_rank(last, 0, *step));
                last.unwrap()
            })
            .collect();
        assert_eq!(ranks(113, &steps), single);
        assert_eq!(ranks(113, &[]), [] as [i64; 0]);
    }

    #[test]
    fn redelivered_messages_have_one_flow_per_flow() {
        let first = share("a", Priority::Low, 1);
        let flow = first.flow_of_redelivery();
        assert_eq!(flow, "a/low/again");
        assert_eq!(redelivered(&flow), flow);
        let again = first.clone().redelivery(true);
        assert_eq!((again.flow(), again.flow_of_redelivery()), (flow.clone(), flow));
        assert_eq!(Share::default().flow(), "/normal");
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    #[test]
    fn flows_are_read_as_they_were_written() {
        for tenant in ["", "acme-2.eu"] {
            for priority in Priority::ALL {
                let share = Share::new(Tenant::stored(tenant), priority);
                for share in [share.clone(), share.redelivery(true)] {
                    assert_eq!(Share::of_flow(&share.flow()), share);
                }
            }
        }
        // Of an unknown version.
        assert_eq!(Share::of_flow("a b/urgent/twice"), Share::default());
    }
}
