//! Lifecycle rules of a bucket: own rules beside foreign ones.

use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, NoncurrentVersionExpiration, TransitionDefaultMinimumObjectSize,
};
use videoframes_console::Failure;

use super::bucket::Bucket;
use super::plan::{End, ID_PREFIX, Own, Rule};
use crate::aws::Refusal;

/// Creates or checks the rules whose IDs start with [`ID_PREFIX`].
pub(super) async fn ensure(bucket: &mut Bucket<'_>, own: &Own) -> Result<(), Failure> {
    let (have, smallest) = match get(bucket).await {
        Ok(have) => have,
        Err(refusal) if refusal.is_unsupported() => {
            bucket.report.unsupported("lifecycle");
            return Ok(());
        }
        Err(refusal) => return Err(refusal.into()),
    };
    report_expiry(bucket, &have, &own.results);
    let desired = own.lifecycle.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let mut differences = Vec::new();
    for (id, have, want) in pairs(&have, &desired) {
        let [have, want] = [have, want].map(|rule| rule.map(describe));
        differences.extend(bucket.report.compare(
            &format!("lifecycle {id}"),
            have.as_deref(),
            want.as_deref(),
        ));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let configuration = BucketLifecycleConfiguration::builder()
        .set_rules(Some(merged(have, desired)))
        .build()
        .map_err(|e| Failure::internal(&e))?;
    let request = bucket
        .client
        .put_bucket_lifecycle_configuration()
        .bucket(bucket.name);
    let put = request
        .lifecycle_configuration(configuration)
        .set_transition_default_minimum_object_size(smallest)
        .send()
        .await;
    let what = bucket.describe("set the lifecycle");
    match put.map_err(|e| Refusal::new("s3:PutLifecycleConfiguration", what, &e)) {
        Ok(_) => differences
            .iter()
            .for_each(|difference| bucket.report.add(difference)),
        Err(refusal) if refusal.is_unsupported() => bucket.report.unsupported("lifecycle"),
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(())
}

/// Reports foreign rules that expire results: such a rule ignores retention and legal holds of jobs. The rule stays.
fn report_expiry(bucket: &mut Bucket<'_>, have: &[LifecycleRule], results: &str) {
    for rule in have.iter().filter(|rule| !is_own(rule) && expires(rule, results)) {
        let setting = format!("lifecycle {}", rule.id().unwrap_or("without an ID"));
        let is_fixable = bucket.report.compare(&setting, Some(&describe(rule)), None);
        if is_fixable.is_some() {
            let why = "although the rule expires results, also under a legal hold";
            bucket.report.unchanged(&setting, why);
        }
    }
}

/// Returns whether a rule expires objects below `prefix`.
fn expires(rule: &LifecycleRule, prefix: &str) -> bool {
    #[allow(deprecated)] // Stores may still use the deprecated field.
    let below = rule
        .filter()
        .and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()))
        .or(rule.prefix())
        .unwrap_or_default();
    let is_enabled = rule.status() == &ExpirationStatus::Enabled;
    let overlaps = prefix.starts_with(below) || below.starts_with(prefix);
    let ends = |expiration: &LifecycleExpiration| expiration.days().is_some() || expiration.date().is_some();
    is_enabled && overlaps && rule.expiration().is_some_and(ends)
}

type Found = (Vec<LifecycleRule>, Option<TransitionDefaultMinimumObjectSize>);

async fn get(bucket: &Bucket<'_>) -> Result<Found, Refusal> {
    if !bucket.exists {
        return Ok(Found::default());
    }
    let request = bucket.client.get_bucket_lifecycle_configuration();
    let response = request.bucket(bucket.name).send().await;
    let what = bucket.describe("read the lifecycle");
    match response.map_err(|e| Refusal::new("s3:GetLifecycleConfiguration", what, &e)) {
        Err(refusal) if refusal.has_code(&["NoSuchLifecycleConfiguration"]) => Ok(Found::default()),
        found => {
            let found = found?;
            Ok((
                found.rules.unwrap_or_default(),
                found.transition_default_minimum_object_size,
            ))
        }
    }
}

fn is_own(rule: &LifecycleRule) -> bool {
    rule.id().is_some_and(|id| id.starts_with(ID_PREFIX))
}

/// Returns the own rules by ID, each with the current and the desired rule.
fn pairs<'a>(
    have: &'a [LifecycleRule],
    desired: &'a [LifecycleRule],
) -> Vec<(&'a str, Option<&'a LifecycleRule>, Option<&'a LifecycleRule>)> {
    fn find<'a>(rules: &'a [LifecycleRule], id: &str) -> Option<&'a LifecycleRule> {
        rules.iter().find(|rule| rule.id() == Some(id))
    }
    let stale = have
        .iter()
        .filter(|rule| is_own(rule) && find(desired, rule.id().unwrap_or_default()).is_none());
    let ids = desired.iter().chain(stale).filter_map(LifecycleRule::id);
    ids.map(|id| (id, find(have, id), find(desired, id))).collect()
}

/// Returns the foreign rules unchanged, followed by the desired rules.
fn merged(have: Vec<LifecycleRule>, desired: Vec<LifecycleRule>) -> Vec<LifecycleRule> {
    let foreign = have.into_iter().filter(|rule| !is_own(rule));
    foreign.chain(desired).collect()
}

fn rule(desired: &Rule) -> Result<LifecycleRule, Failure> {
    let rule = LifecycleRule::builder()
        .id(desired.id)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(&desired.prefix).build());
    let expiration = LifecycleExpiration::builder();
    let rule = match desired.end {
        End::Uploads(days) => rule.abort_incomplete_multipart_upload(
            AbortIncompleteMultipartUpload::builder()
                .days_after_initiation(days)
                .build(),
        ),
        End::Versions(days) => rule
            .expiration(expiration.expired_object_delete_marker(true).build())
            .noncurrent_version_expiration(
                NoncurrentVersionExpiration::builder()
                    .noncurrent_days(days)
                    .build(),
            ),
    };
    rule.build().map_err(|e| Failure::internal(&e))
}

/// Describes a rule. Rules with different effects have different descriptions.
fn describe(rule: &LifecycleRule) -> String {
    let mut parts = Vec::new();
    if rule.status() != &ExpirationStatus::Enabled {
        parts.push("disabled".to_owned());
    }
    let days = |days: Option<i32>| format!("{} days", days.unwrap_or_default());
    if let Some(abort) = rule.abort_incomplete_multipart_upload() {
        parts.push(format!(
            "incomplete uploads are aborted after {}",
            days(abort.days_after_initiation())
        ));
    }
    if let Some(expiration) = rule.expiration() {
        if let Some(count) = expiration.days() {
            parts.push(format!("objects expire after {}", days(Some(count))));
        }
        if let Some(date) = expiration.date() {
            parts.push(format!("objects expire at {date}"));
        }
    }
    if let Some(versions) = rule.noncurrent_version_expiration() {
        parts.push(format!(
            "noncurrent versions expire after {}",
            days(versions.noncurrent_days())
        ));
        if let Some(kept) = versions.newer_noncurrent_versions() {
            parts.push(format!("{kept} noncurrent versions are kept"));
        }
    }
    if rule
        .expiration()
        .is_some_and(|expiration| expiration.expired_object_delete_marker() == Some(true))
    {
        parts.push("with expired delete markers".to_owned());
    }
    let moves = rule.transitions().len() + rule.noncurrent_version_transitions().len();
    if moves > 0 {
        parts.push(format!("{moves} transitions to other storage classes"));
    }
    #[allow(deprecated)] // Stores may still use the deprecated field.
    let prefix = rule
        .filter()
        .and_then(LifecycleRuleFilter::prefix)
        .or(rule.prefix());
    parts.push(format!("with the prefix '{}'", prefix.unwrap_or_default()));
    if let Some(filter) = rule.filter()
        && (filter.tag().is_some()
            || filter.and().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some())
    {
        parts.push("with further filters".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn named(id: &'static str, days: i32) -> LifecycleRule {
        let end = End::Uploads(days);
        rule(&Rule {
            id,
            prefix: "results/".to_owned(),
            end,
        })
        .unwrap()
    }

    #[test]
    fn foreign_rules_stay_and_stale_own_rules_are_removed() {
        let have = vec![named("foreign", 5), named("vf-results", 1), named("vf-old", 1)];
        let desired = vec![named("vf-results", 31)];
        let found: Vec<_> = pairs(&have, &desired)
            .iter()
            .map(|(id, have, want)| (*id, have.is_some(), want.is_some()))
            .collect();
        assert_eq!(found, [("vf-results", true, true), ("vf-old", true, false)]);
        assert_eq!(
            merged(have, desired),
            [named("foreign", 5), named("vf-results", 31)]
        );
    }

    #[test]
    fn rules_that_expire_results_are_found() {
        let expiring = |below: &str| {
            let filter = LifecycleRuleFilter::builder().prefix(below).build();
            LifecycleRule::builder()
                .id("foreign")
                .status(ExpirationStatus::Enabled)
                .filter(filter)
                .expiration(LifecycleExpiration::builder().days(9).build())
                .build()
                .unwrap()
        };
        for (below, expected) in [
            ("", true),
            ("a/", true),
            ("a/results/", true),
            ("a/results/01", true),
            ("a/sources/", false),
            ("b/", false),
        ] {
            assert_eq!(expires(&expiring(below), "a/results/"), expected, "{below}");
        }
        let mut disabled = expiring("");
        disabled.status = ExpirationStatus::Disabled;
        assert!(!expires(&disabled, "a/results/"));
        assert!(!expires(&named("vf-uploads", 2), "results/"));
    }

    #[test]
    fn rules_with_different_effects_have_different_descriptions() {
        let ends = [End::Uploads(2), End::Uploads(3), End::Versions(2)];
        let mut texts: Vec<String> = ends
            .map(|end| {
                describe(
                    &rule(&Rule {
                        id: "vf-x",
                        prefix: String::new(),
                        end,
                    })
                    .unwrap(),
                )
            })
            .to_vec();
        let mut off = named("vf-x", 2);
        off.status = ExpirationStatus::Disabled;
        texts.push(describe(&off));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 4, "{texts:#?}");
    }
}
