//! Notifications of new objects from a bucket to the input queue.

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter,
    QueueConfiguration, S3KeyFilter,
};
use videoframes_console::{Failure, exit};

use super::bucket::Bucket;
use super::plan::{Events, ID_PREFIX};
use crate::aws::Refusal;

const SETTING: &str = "events";

/// Creates or checks the notifications whose IDs start with [`ID_PREFIX`].
///
/// # Errors
/// Fails if the store does not support notifications, since `--events` explicitly requests them.
pub(super) async fn ensure(bucket: &mut Bucket<'_>, desired: &[Events], queue: &str) -> Result<(), Failure> {
    let have = get(bucket).await?;
    let all = have.queue_configurations.unwrap_or_default();
    let (own, foreign): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.id().is_some_and(|id| id.starts_with(ID_PREFIX)));
    let want = desired
        .iter()
        .enumerate()
        .map(|(n, events)| configuration(n, events, queue))
        .collect::<Result<Vec<_>, _>>()?;
    let describe_all = |all: &[QueueConfiguration]| {
        let mut texts: Vec<String> = all.iter().map(describe).collect();
        texts.sort();
        (!texts.is_empty()).then(|| texts.join("; "))
    };
    let Some(difference) = bucket.report.compare(
        SETTING,
        describe_all(&own).as_deref(),
        describe_all(&want).as_deref(),
    ) else {
        return Ok(());
    };
    let configuration = NotificationConfiguration::builder()
        .set_topic_configurations(have.topic_configurations)
        .set_lambda_function_configurations(have.lambda_function_configurations)
        .set_event_bridge_configuration(have.event_bridge_configuration)
        .set_queue_configurations(Some(foreign.into_iter().chain(want).collect()));
    let request = bucket
        .client
        .put_bucket_notification_configuration()
        .bucket(bucket.name);
    let put = request
        .notification_configuration(configuration.build())
        .send()
        .await;
    let what = bucket.describe("set the events");
    match put.map_err(|e| Refusal::new("s3:PutBucketNotification", what, &e)) {
        Ok(_) => bucket.report.add(&difference),
        // Some stores mistake the request for the creation of a bucket.
        Err(refusal) if refusal.is_unsupported() || refusal.has_code(&["BucketAlreadyOwnedByYou"]) => {
            let message = format!(
                "this store does not support notifications of new objects in '{}'",
                bucket.name
            );
            return Err(Failure::new(exit::UNAVAILABLE, message)
                .hint("omit --events, and send a job message for each object"));
        }
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(())
}

async fn get(bucket: &Bucket<'_>) -> Result<NotificationConfiguration, Failure> {
    if !bucket.exists {
        return Ok(NotificationConfiguration::builder().build());
    }
    let request = bucket.client.get_bucket_notification_configuration();
    let response = request.bucket(bucket.name).send().await;
    let what = bucket.describe("read the events");
    let found = response.map_err(|e| Refusal::new("s3:GetBucketNotification", what, &e))?;
    Ok(NotificationConfiguration::builder()
        .set_topic_configurations(found.topic_configurations)
        .set_queue_configurations(found.queue_configurations)
        .set_lambda_function_configurations(found.lambda_function_configurations)
        .set_event_bridge_configuration(found.event_bridge_configuration)
        .build())
}

fn configuration(n: usize, events: &Events, queue: &str) -> Result<QueueConfiguration, Failure> {
    let rule = |name, value: &str| FilterRule::builder().name(name).value(value).build();
    let mut rules = Vec::new();
    if !events.prefix.is_empty() {
        rules.push(rule(FilterRuleName::Prefix, &events.prefix));
    }
    if !events.suffix.is_empty() {
        rules.push(rule(FilterRuleName::Suffix, &events.suffix));
    }
    let filter = (!rules.is_empty()).then(|| {
        let key = S3KeyFilter::builder().set_filter_rules(Some(rules)).build();
        NotificationConfigurationFilter::builder().key(key).build()
    });
    let one = QueueConfiguration::builder()
        .id(format!("{ID_PREFIX}{n}"))
        .queue_arn(queue)
        .events(Event::from("s3:ObjectCreated:*"))
        .set_filter(filter);
    one.build().map_err(|e| Failure::internal(&e))
}

/// Describes events, filters and destination. IDs and the order of filters are irrelevant.
fn describe(one: &QueueConfiguration) -> String {
    let events: Vec<&str> = one.events().iter().map(Event::as_str).collect();
    let rules = one
        .filter()
        .and_then(|filter| filter.key())
        .map(|key| key.filter_rules());
    // S3 returns names in a different case.
    let part = |desired: &str| {
        let named = |rule: &&FilterRule| {
            rule.name()
                .is_some_and(|name| name.as_str().eq_ignore_ascii_case(desired))
        };
        rules
            .unwrap_or_default()
            .iter()
            .find(named)
            .and_then(FilterRule::value)
            .unwrap_or_default()
    };
    format!(
        "{} of '{}*{}' to {}",
        events.join(", "),
        part("prefix"),
        part("suffix"),
        one.queue_arn()
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_notifications_have_one_description() {
        let events = Events::parse("videos/uploads/*.mp4").unwrap();
        let one = configuration(0, &events, "arn:q").unwrap();
        assert_eq!(describe(&one), "s3:ObjectCreated:* of 'uploads/*.mp4' to arn:q");
        let mut other = configuration(7, &events, "arn:q").unwrap();
        let key = other.filter.as_mut().unwrap().key.as_mut().unwrap();
        let rules = key.filter_rules.as_mut().unwrap();
        rules.reverse();
        rules[0].name = Some(FilterRuleName::from("Suffix"));
        assert_eq!(describe(&other), describe(&one));
        let all = configuration(0, &Events::parse("videos").unwrap(), "arn:q").unwrap();
        assert_eq!(describe(&all), "s3:ObjectCreated:* of '*' to arn:q");
    }
}
