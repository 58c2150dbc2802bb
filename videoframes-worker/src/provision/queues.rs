//! Creation, checks and settings of queues.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use videoframes_console::{Failure, exit};

use super::plan::{Desired, DesiredQueue, Role};
use super::policy;
use super::report::{Difference, Report};
use crate::aws::Refusal;
use crate::config::QueueAddress;

/// Maximum time until a new queue is visible.
const VISIBLE_AFTER: Duration = Duration::from_secs(10);

/// An existing queue.
struct Queue {
    url: String,
    arn: String,
    attributes: HashMap<String, String>,
}

/// Creates or checks the queues; returns the ARN of the input queue, if it exists.
pub(super) async fn ensure(
    client: &Client,
    desired: &Desired,
    report: &mut Report,
) -> Result<Option<String>, Failure> {
    let mut existing: BTreeMap<Role, Queue> = BTreeMap::new();
    for queue in &desired.queues {
        report.set_resource(format!("queue {}", queue.address));
        let found = match find(client, &queue.address).await? {
            Some(found) => Some(found),
            None => create(client, queue, report).await?,
        };
        let dead_letter_queue = existing
            .get(&Role::DeadLetterQueue)
            .map(|queue| queue.arn.clone());
        let changes = settings(queue, found.as_ref(), dead_letter_queue.as_deref(), report)?;
        if let Some(found) = found {
            set(client, (&queue.address, &found.url), changes, report).await?;
            existing.insert(queue.role, found);
        }
    }
    // The redrive permission needs the ARN of the input queue.
    let find = |role| desired.queues.iter().find(|queue| queue.role == role);
    if let (Some(dead_letter_queue), Some(input)) = (find(Role::DeadLetterQueue), find(Role::Input)) {
        report.set_resource(format!("queue {}", dead_letter_queue.address));
        let found = existing.get(&Role::DeadLetterQueue);
        let arn = existing.get(&Role::Input).map(|input| input.arn.as_str());
        let change = redrive_allow(found, arn, &input.address, report);
        if let (Some(found), Some(change)) = (found, change) {
            set(
                client,
                (&dead_letter_queue.address, &found.url),
                vec![change],
                report,
            )
            .await?;
        }
    }
    Ok(existing.remove(&Role::Input).map(|input| input.arn))
}

/// A difference, and the name and value of the attribute to set.
type Change = (Difference, &'static str, String);

/// Returns the settings to change. In a check, all settings of a missing queue are reported.
fn settings(
    desired: &DesiredQueue,
    found: Option<&Queue>,
    dead_letter_queue: Option<&str>,
    report: &mut Report,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    let have = |name: &str| {
        found
            .and_then(|queue| queue.attributes.get(name))
            .map(String::as_str)
    };
    for (name, want) in &desired.attributes {
        // Encryption with a KMS key serves the same purpose, and is an explicit choice of the operator.
        if *name == "SqsManagedSseEnabled" && have("KmsMasterKeyId").is_some_and(|key| !key.is_empty()) {
            continue;
        }
        if let Some(difference) = report.compare(name, have(name), Some(want)) {
            changes.push((difference, *name, want.clone()));
        }
    }
    if let Some(receives) = desired.max_receives {
        let arn = dead_letter_queue.unwrap_or("the queue of dead-letter messages");
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": receives});
        let have = have("RedrivePolicy").map(describe_redrive);
        let want = format!("to {arn} after {receives} receives");
        if let Some(difference) = report.compare("RedrivePolicy", have.as_deref(), Some(&want)) {
            changes.push((difference, "RedrivePolicy", policy.to_string()));
        }
    }
    if !desired.senders.is_empty() {
        let arn = found.map_or("the queue", |queue| queue.arn.as_str());
        let statement = policy::senders(arn, desired.senders.iter());
        let (policy, before) = policy::with(have("Policy"), &statement).ok_or_else(|| {
            Failure::new(
                exit::UNAVAILABLE,
                format!("queue '{}': {}", desired.address, policy::UNREADABLE),
            )
        })?;
        let before = before.map(|statement| policy::normal(&statement).to_string());
        let want = policy::normal(&statement).to_string();
        if let Some(difference) = report.compare("Policy", before.as_deref(), Some(&want)) {
            changes.push((difference, "Policy", policy));
        }
    }
    Ok(changes)
}

/// Describes a redrive policy; returns an invalid policy unchanged.
fn describe_redrive(policy: &str) -> String {
    let read = || {
        let policy: Value = serde_json::from_str(policy).ok()?;
        let receives = &policy["maxReceiveCount"];
        let receives = receives.as_u64().or_else(|| receives.as_str()?.parse().ok())?;
        Some(format!(
            "to {} after {receives} receives",
            policy["deadLetterTargetArn"].as_str()?
        ))
    };
    read().unwrap_or_else(|| policy.to_owned())
}

/// Allows the input queue to dead-letter messages, in addition to the queues already allowed.
fn redrive_allow(
    found: Option<&Queue>,
    input: Option<&str>,
    name: &QueueAddress,
    report: &mut Report,
) -> Option<Change> {
    const NAME: &str = "RedriveAllowPolicy";
    let have = found.and_then(|queue| queue.attributes.get(NAME));
    let policy: Value = have
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let of_queues = policy["redrivePermission"] == "byQueue";
    let listed = policy["sourceQueueArns"].as_array().filter(|_| of_queues);
    let mut sources: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    let before = match of_queues {
        true => Some(format!("from {}", sources.join(", "))),
        false => have.cloned(),
    };
    let input = input.map_or_else(|| format!("the queue {name}"), str::to_owned);
    if !sources.contains(&input.as_str()) {
        sources.push(&input);
    }
    let want = format!("from {}", sources.join(", "));
    let difference = report.compare(NAME, before.as_deref(), Some(&want))?;
    let policy = json!({"redrivePermission": "byQueue", "sourceQueueArns": sources});
    Some((difference, NAME, policy.to_string()))
}

async fn find(client: &Client, address: &QueueAddress) -> Result<Option<Queue>, Failure> {
    let url = match address {
        QueueAddress::Url(url) => url.clone(),
        QueueAddress::Name(name) => {
            let response = client.get_queue_url().queue_name(name).send().await;
            let what = format!("find the queue '{name}'");
            match response.map_err(|error| Refusal::new("sqs:GetQueueUrl", what, &error)) {
                Ok(found) => found.queue_url.unwrap_or_default(),
                Err(refusal) if is_missing(&refusal) => return Ok(None),
                Err(refusal) => return Err(refusal.into()),
            }
        }
    };
    match read(client, address, &url).await {
        Ok(queue) => Ok(Some(queue)),
        Err(refusal) if is_missing(&refusal) => Ok(None),
        Err(refusal) => Err(refusal.into()),
    }
}

async fn read(client: &Client, address: &QueueAddress, url: &str) -> Result<Queue, Refusal> {
    let response = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await;
    let what = format!("read the settings of the queue '{address}'");
    let found = response.map_err(|error| Refusal::new("sqs:GetQueueAttributes", what, &error))?;
    let attributes = found.attributes.unwrap_or_default();
    let attributes: HashMap<String, String> = attributes
        .into_iter()
        .map(|(name, value)| (name.as_str().to_owned(), value))
        .collect();
    Ok(Queue {
        url: url.to_owned(),
        arn: attributes.get("QueueArn").cloned().unwrap_or_default(),
        attributes,
    })
}

fn is_missing(refusal: &Refusal) -> bool {
    refusal.has_code(&["NonExistentQueue", "QueueDoesNotExist"])
}

/// Creates a queue with the default settings of SQS; returns `None` in a check.
async fn create(
    client: &Client,
    desired: &DesiredQueue,
    report: &mut Report,
) -> Result<Option<Queue>, Failure> {
    let Some(difference) = report.compare("queue", None, Some("exists")) else {
        return Ok(None);
    };
    let mut request = client.create_queue().queue_name(desired.address.name());
    if desired.address.is_fifo() {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    let what = format!("create the queue '{}'", desired.address);
    let made = request
        .send()
        .await
        .map_err(|error| Refusal::new("sqs:CreateQueue", what, &error));
    let made = made.map_err(|refusal| {
        let recently = refusal.has_code(&["QueueDeletedRecently"]);
        let failure = Failure::from(refusal);
        match recently {
            true => failure.hint("SQS reserves the name of a deleted queue for one minute; retry later"),
            false => failure,
        }
    })?;
    report.add(&difference);
    let url = made.queue_url.unwrap_or_default();
    if let QueueAddress::Url(expected) = &desired.address
        && *expected != url
    {
        return Err(Failure::new(
            exit::USAGE,
            format!(
                "the queue '{}' was created at {url}, not at {expected}",
                desired.address
            ),
        )
        .hint("give sqs:NAME, or the actual URL of the queue"));
    }
    let since = std::time::Instant::now();
    loop {
        match read(client, &desired.address, &url).await {
            Err(refusal) if is_missing(&refusal) && since.elapsed() < VISIBLE_AFTER => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            read => return Ok(Some(read?)),
        }
    }
}

/// Changes settings one by one, so that an error names the setting, and earlier changes stay.
async fn set(
    client: &Client,
    (address, url): (&QueueAddress, &str),
    changes: Vec<Change>,
    report: &mut Report,
) -> Result<(), Failure> {
    for (difference, name, value) in changes {
        let request = client.set_queue_attributes().queue_url(url);
        let done = request
            .attributes(QueueAttributeName::from(name), value)
            .send()
            .await;
        let what = format!("set {name} of the queue '{address}'");
        match done.map_err(|error| Refusal::new("sqs:SetQueueAttributes", what, &error)) {
            Ok(_) => report.add(&difference),
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn queue(attributes: &[(&str, &str)]) -> Queue {
        let attributes = attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Queue {
            url: "http://q/1/dead".to_owned(),
            arn: "arn:aws:sqs:r:1:dead".to_owned(),
            attributes: attributes.collect(),
        }
    }

    #[test]
    fn other_queues_may_still_dead_letter_messages() {
        let policy = r#"{"redrivePermission":"byQueue","sourceQueueArns":["arn:other"]}"#;
        let found = queue(&[("RedriveAllowPolicy", policy)]);
        let name = "sqs:in".parse().unwrap();
        let mut report = Report::new(false);
        let (_, _, value) = redrive_allow(Some(&found), Some("arn:in"), &name, &mut report).unwrap();
        let value: Value = serde_json::from_str(&value).unwrap();
        assert_eq!(value["sourceQueueArns"], json!(["arn:other", "arn:in"]));
        let found = queue(&[("RedriveAllowPolicy", &value.to_string())]);
        assert!(redrive_allow(Some(&found), Some("arn:in"), &name, &mut report).is_none());
    }

    #[test]
    fn a_queue_with_a_kms_key_keeps_the_key() {
        let desired = DesiredQueue {
            role: Role::Notifier,
            address: "sqs:out".parse().unwrap(),
            attributes: BTreeMap::from([("SqsManagedSseEnabled", "true".to_owned())]),
            max_receives: None,
            senders: [].into(),
        };
        let mut report = Report::new(false);
        let own_key = queue(&[("KmsMasterKeyId", "key"), ("SqsManagedSseEnabled", "false")]);
        assert!(
            settings(&desired, Some(&own_key), None, &mut report)
                .unwrap()
                .is_empty()
        );
        let none = queue(&[("SqsManagedSseEnabled", "false")]);
        assert_eq!(
            settings(&desired, Some(&none), None, &mut report).unwrap().len(),
            1
        );
    }

    #[test]
    fn receive_counts_are_numbers_or_strings() {
        let number = describe_redrive(r#"{"deadLetterTargetArn": "arn:d", "maxReceiveCount": 50}"#);
        assert_eq!(
            number,
            describe_redrive(r#"{"maxReceiveCount":"50","deadLetterTargetArn":"arn:d"}"#)
        );
        assert_eq!(describe_redrive("nonsense"), "nonsense");
    }
}
