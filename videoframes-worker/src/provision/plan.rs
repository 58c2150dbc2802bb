//! Desired state of buckets and queues, computed without I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use videoframes_core::storage::S3Encryption;

use crate::config::{BucketPlace, QueueAddress, bucket_name};

/// Prefix of the IDs of rules and notifications owned by the worker. Others stay unchanged.
pub(super) const ID_PREFIX: &str = "vf-";
/// Minimum receive count before dead-lettering. The worker counts attempts itself; SQS is only the backstop.
const MIN_RECEIVES: u32 = 10;
/// Retention of dead-letter messages in days: the maximum of SQS, which counts from the first enqueue.
const DEAD_LETTER_DAYS: u32 = 14;
/// Wait time of a receive in seconds: the maximum of SQS.
const LONG_POLL: u32 = 20;
/// Maximum visibility timeout of SQS in seconds.
const MAX_VISIBILITY: u64 = 12 * 3600;
const DAY: u32 = 24 * 3600;

/// Names of the resources; `None` for a resource outside S3 and SQS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// The bucket of results and submitted videos.
    pub(crate) storage: Option<BucketPlace>,
    /// Buckets of source videos.
    pub(crate) sources: BTreeSet<String>,
    /// The first input queue, to which stores send events.
    pub(crate) input: Option<QueueAddress>,
    pub(crate) further_inputs: Vec<QueueAddress>,
    pub(crate) notifier: Option<QueueAddress>,
    pub(crate) dead_letter_queue: Option<QueueAddress>,
}

impl Names {
    /// Returns the names and settings of each further input queue with its dead-letter queue.
    pub(crate) fn of_further_inputs(&self, terms: &Terms) -> Vec<(Self, Terms)> {
        let without_events = Terms {
            events: Vec::new(),
            ..terms.clone()
        };
        let names = self.further_inputs.iter().map(|input| Self {
            input: Some(input.clone()),
            dead_letter_queue: self.dead_letter_queue.clone(),
            ..Self::default()
        });
        names.map(|names| (names, without_events.clone())).collect()
    }
}

/// A filter for new objects about which a bucket notifies the input queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Events {
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) suffix: String,
}

impl Events {
    /// Parses `BUCKET`, `BUCKET/PREFIX` or `BUCKET/PREFIX*SUFFIX`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (bucket, keys) = text.split_once('/').unwrap_or((text, ""));
        let (prefix, suffix) = keys.split_once('*').unwrap_or((keys, ""));
        match suffix.contains('*') {
            true => Err("a bucket, a prefix and a suffix with one * between them".to_owned()),
            false => Ok(Self {
                bucket: bucket_name(bucket)?,
                prefix: prefix.to_owned(),
                suffix: suffix.to_owned(),
            }),
        }
    }
}

/// Settings of the resources.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) encryption: S3Encryption,
    /// Whether the endpoint of the store uses https, so that http can be denied.
    pub(crate) tls: bool,
    pub(crate) upload_days: i32,
    pub(crate) version_days: i32,
    pub(crate) message_days: u32,
    /// Visibility timeout of a received message: a lease and a margin.
    pub(crate) visibility: Duration,
    pub(crate) max_receives: u32,
    pub(crate) events: Vec<Events>,
}

/// The desired resources, in the order of their creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desired {
    pub(crate) queues: Vec<DesiredQueue>,
    pub(crate) buckets: Vec<DesiredBucket>,
}

/// The purpose of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    DeadLetterQueue,
    Input,
    Notifier,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DesiredQueue {
    pub(crate) role: Role,
    pub(crate) address: QueueAddress,
    /// Attributes by their SQS names.
    pub(crate) attributes: BTreeMap<&'static str, String>,
    /// Receive count after which a message is dead-lettered.
    pub(crate) max_receives: Option<u32>,
    /// Buckets that may send to the queue.
    pub(crate) senders: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DesiredBucket {
    pub(crate) name: String,
    /// Settings of the bucket of the worker. A bucket of source videos only has to exist.
    pub(crate) own: Option<Own>,
    /// Notifications to the input queue; `None` leaves the notifications of the bucket unchanged.
    pub(crate) events: Option<Vec<Events>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) encryption: S3Encryption,
    pub(crate) tls: bool,
    pub(crate) lifecycle: Vec<Rule>,
    /// Prefix of the results, which no other rule may expire.
    pub(crate) results: String,
}

/// A lifecycle rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// ID, which starts with [`ID_PREFIX`].
    pub(crate) id: &'static str,
    pub(crate) prefix: String,
    pub(crate) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Abort incomplete uploads after this number of days.
    Uploads(i32),
    /// Expire noncurrent versions, and delete markers without noncurrent versions.
    Versions(i32),
}

impl Desired {
    /// Computes the desired resources, or returns all errors.
    pub(crate) fn new(names: &Names, terms: &Terms) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let queues = queues(names, terms, &mut errors);
        let buckets = buckets(names, terms);
        if queues.is_empty() && buckets.is_empty() && errors.is_empty() {
            errors.push("nothing to provision: no bucket and no SQS queue is given".to_owned());
        }
        match errors.is_empty() {
            true => Ok(Self { queues, buckets }),
            false => Err(errors),
        }
    }
}

fn queues(names: &Names, terms: &Terms, errors: &mut Vec<String>) -> Vec<DesiredQueue> {
    let roles = [
        (Role::DeadLetterQueue, &names.dead_letter_queue),
        (Role::Input, &names.input),
        (Role::Notifier, &names.notifier),
    ];
    let visibility = terms.visibility.as_secs() + u64::from(terms.visibility.subsec_nanos() > 0);
    if visibility > MAX_VISIBILITY {
        errors.push(format!(
            "a visibility timeout of {visibility} s exceeds the maximum of SQS, which is 12 hours"
        ));
    }
    let mut queues: Vec<DesiredQueue> = Vec::new();
    for (role, address) in roles {
        let Some(address) = address else { continue };
        if queues.iter().any(|queue| queue.address.name() == address.name()) {
            errors.push(format!("'{address}' cannot serve as two queues"));
        }
        let days = match role {
            Role::DeadLetterQueue => DEAD_LETTER_DAYS,
            Role::Input | Role::Notifier => terms.message_days,
        };
        queues.push(DesiredQueue {
            role,
            address: address.clone(),
            attributes: BTreeMap::from([
                ("VisibilityTimeout", visibility.to_string()),
                ("MessageRetentionPeriod", (days * DAY).to_string()),
                ("ReceiveMessageWaitTimeSeconds", LONG_POLL.to_string()),
                ("SqsManagedSseEnabled", "true".to_owned()),
            ]),
            max_receives: None,
            senders: BTreeSet::new(),
        });
    }
    let dead_letter_queue = names.dead_letter_queue.as_ref();
    if let Some(input) = queues.iter_mut().find(|queue| queue.role == Role::Input) {
        if let Some(dead_letter_queue) = dead_letter_queue {
            input.max_receives = Some(terms.max_receives);
            if dead_letter_queue.is_fifo() != input.address.is_fifo() {
                errors.push(format!(
                    "'{}' and its dead-letter queue '{dead_letter_queue}' must both be FIFO queues, or neither",
                    input.address
                ));
            }
        }
        if terms.max_receives < MIN_RECEIVES {
            errors.push(format!(
                "a message cannot be dead-lettered after {} receives: the minimum is {MIN_RECEIVES}, since \
                 the worker counts its own attempts",
                terms.max_receives
            ));
        }
        input.senders = terms.events.iter().map(|events| events.bucket.clone()).collect();
        if !input.senders.is_empty() && input.address.is_fifo() {
            errors.push(format!(
                "S3 sends no notifications to FIFO queues, and '{}' is a FIFO queue",
                input.address
            ));
        }
    } else if !terms.events.is_empty() {
        errors.push("--events requires an input queue in SQS".to_owned());
    }
    queues
}

fn buckets(names: &Names, terms: &Terms) -> Vec<DesiredBucket> {
    let mut buckets = BTreeMap::new();
    let sources = names.sources.iter().cloned();
    let notifying = terms.events.iter().map(|events| events.bucket.clone());
    for name in sources.chain(notifying) {
        buckets.insert(name, None);
    }
    if let Some(place) = &names.storage {
        let own = Own {
            encryption: terms.encryption.clone(),
            tls: terms.tls,
            lifecycle: lifecycle(&place.prefix, terms),
            results: format!("{}results/", place.prefix),
        };
        buckets.insert(place.bucket.clone(), Some(own));
    }
    let bucket = |(name, own)| {
        let mut events: Vec<_> = terms
            .events
            .iter()
            .filter(|events| events.bucket == name)
            .cloned()
            .collect();
        events.sort();
        events.dedup();
        DesiredBucket {
            events: (!events.is_empty()).then_some(events),
            name,
            own,
        }
    };
    buckets.into_iter().map(bucket).collect()
}

fn lifecycle(prefix: &str, terms: &Terms) -> Vec<Rule> {
    let rule = |id, below: &str, end| Rule {
        id,
        prefix: format!("{prefix}{below}"),
        end,
    };
    vec![
        rule("vf-uploads", "", End::Uploads(terms.upload_days)),
        rule("vf-versions", "", End::Versions(terms.version_days)),
    ]
}

/// Returns the number of days, the unit of lifecycle rules, for which versions are kept at least.
pub(crate) fn version_days(retention: Duration) -> i32 {
    let days = retention.as_secs().div_ceil(u64::from(DAY)).max(1);
    i32::try_from(days).unwrap_or(i32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        Terms {
            encryption: S3Encryption::S3,
            tls: true,
            upload_days: 2,
            version_days: 7,
            message_days: 14,
            visibility: Duration::from_secs(100),
            max_receives: 50,
            events: Vec::new(),
        }
    }

    fn queue(text: &str) -> Option<QueueAddress> {
        Some(text.parse().unwrap())
    }

    fn names() -> Names {
        Names {
            storage: Some(BucketPlace::parse("frames/a/").unwrap()),
            sources: BTreeSet::from(["videos".to_owned()]),
            input: queue("sqs:in"),
            further_inputs: Vec::new(),
            notifier: queue("sqs:out"),
            dead_letter_queue: queue("sqs:dead"),
        }
    }

    #[test]
    fn every_input_queue_has_the_dead_letter_queue() {
        let names = Names {
            further_inputs: vec!["sqs:high".parse().unwrap()],
            ..names()
        };
        let further = names.of_further_inputs(&terms());
        let desired: Vec<Desired> = further
            .iter()
            .map(|(names, terms)| Desired::new(names, terms).unwrap())
            .collect();
        assert_eq!(desired.len(), 1);
        let queues: Vec<_> = desired[0]
            .queues
            .iter()
            .map(|queue| (queue.role, queue.address.name()))
            .collect();
        assert_eq!(queues, [(Role::DeadLetterQueue, "dead"), (Role::Input, "high")]);
        assert!(desired[0].queues[1].max_receives.is_some() && desired[0].buckets.is_empty());
    }

    #[test]
    fn only_the_bucket_of_results_gets_settings() {
        let desired = Desired::new(&names(), &terms()).unwrap();
        let own: Vec<_> = desired
            .buckets
            .iter()
            .map(|b| (b.name.as_str(), b.own.is_some()))
            .collect();
        assert_eq!(own, [("frames", true), ("videos", false)]);
        let rules = &desired.buckets[0].own.as_ref().unwrap().lifecycle;
        let prefixes: Vec<_> = rules.iter().map(|rule| (rule.id, rule.prefix.as_str())).collect();
        assert_eq!(prefixes, [("vf-uploads", "a/"), ("vf-versions", "a/")]);
        assert!(rules.iter().all(|rule| rule.id.starts_with(ID_PREFIX)));
    }

    #[test]
    fn the_dead_letter_queue_is_first_and_has_the_longest_retention() {
        let desired = Desired::new(
            &names(),
            &Terms {
                message_days: 4,
                ..terms()
            },
        )
        .unwrap();
        let roles: Vec<_> = desired.queues.iter().map(|queue| queue.role).collect();
        assert_eq!(roles, [Role::DeadLetterQueue, Role::Input, Role::Notifier]);
        let kept = |n: usize| desired.queues[n].attributes["MessageRetentionPeriod"].as_str();
        assert_eq!([kept(0), kept(1), kept(2)], ["1209600", "345600", "345600"]);
        assert_eq!(desired.queues[1].max_receives, Some(50));
        assert_eq!(desired.queues[1].attributes["VisibilityTimeout"], "100");
    }

    #[test]
    fn all_errors_are_reported_together() {
        let terms = Terms {
            max_receives: 9,
            visibility: Duration::from_secs(12 * 3600 + 1),
            events: vec![Events::parse("videos").unwrap()],
            ..terms()
        };
        let names = Names {
            input: queue("sqs:in.fifo"),
            notifier: queue("sqs:dead"),
            ..names()
        };
        let errors = Desired::new(&names, &terms).unwrap_err();
        assert_eq!(errors.len(), 5, "{errors:#?}");
        assert!(
            Desired::new(&Names::default(), &super::tests::terms()).is_err(),
            "no resources are given"
        );
        let lonely = Names {
            storage: names.storage,
            ..Names::default()
        };
        assert!(
            Desired::new(&lonely, &terms).is_err(),
            "events without an input queue"
        );
    }

    #[test]
    fn encryption_has_the_values_of_the_environment_variable() {
        let of = |text| crate::config::encryption(text);
        assert_eq!(of("bucket"), Ok(S3Encryption::Bucket));
        assert_eq!(of("s3"), Ok(S3Encryption::S3));
        assert_eq!(of("kms:k"), Ok(S3Encryption::Kms(Some("k".to_owned()))));
        assert!(of("kms:").is_err() && of("none").is_err());
    }

    #[test]
    fn events_belong_to_their_bucket() {
        let events =
            ["frames/uploads/*.mp4", "frames/uploads/*.mp4", "other"].map(|e| Events::parse(e).unwrap());
        let desired = Desired::new(
            &names(),
            &Terms {
                events: events.to_vec(),
                ..terms()
            },
        )
        .unwrap();
        let counts: Vec<_> = desired
            .buckets
            .iter()
            .map(|b| b.events.as_ref().map(Vec::len))
            .collect();
        assert_eq!(counts, [Some(1), Some(1), None], "frames, other, videos");
        let input = &desired.queues[1];
        assert_eq!(
            input.senders,
            BTreeSet::from(["frames".to_owned(), "other".to_owned()])
        );
        assert!(Events::parse("videos/a*b*c").is_err());
    }

    #[test]
    fn versions_are_kept_for_whole_days() {
        for (seconds, expected) in [(0, 1), (3600, 1), (86_400, 1), (86_401, 2), (30 * 86_400, 30)] {
            assert_eq!(version_days(Duration::from_secs(seconds)), expected, "{seconds}");
        }
        assert_eq!(version_days(Duration::MAX), i32::MAX);
    }
}
