//! Policies of buckets and queues: one own statement beside foreign ones.

use serde_json::{Map, Value, json};

/// The error for an existing policy that is not valid JSON.
pub(super) const UNREADABLE: &str = "failed to parse the policy";

/// Returns the statement that denies access to the bucket by http.
pub(super) fn tls_only(bucket: &str) -> Value {
    json!({
        "Sid": "VfTlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

/// Returns the statement that allows the buckets, if in the account of the queue, to send notifications.
pub(super) fn senders<'a>(queue_arn: &str, buckets: impl Iterator<Item = &'a String>) -> Value {
    let buckets: Vec<String> = buckets.map(|bucket| format!("arn:aws:s3:::{bucket}")).collect();
    let account = queue_arn.split(':').nth(4).unwrap_or_default();
    json!({
        "Sid": "VfEvents",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": buckets},
            "StringEquals": {"aws:SourceAccount": account},
        },
    })
}

/// Inserts `statement` into the existing policy, in place of the statement with the same ID. Returns the policy
/// and the previous statement; `None` if the policy cannot be parsed.
pub(super) fn with(policy: Option<&str>, statement: &Value) -> Option<(String, Option<Value>)> {
    let mut policy: Map<String, Value> = match policy.filter(|text| !text.is_empty()) {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).ok()?,
    };
    policy.entry("Version").or_insert_with(|| json!("2012-10-17"));
    // A single statement may appear without a list.
    let mut statements = match policy.remove("Statement") {
        None => Vec::new(),
        Some(Value::Array(statements)) => statements,
        Some(one) => vec![one],
    };
    let own = statements
        .iter_mut()
        .find(|other| other["Sid"] == statement["Sid"]);
    let before = match own {
        Some(own) => Some(std::mem::replace(own, statement.clone())),
        None => {
            statements.push(statement.clone());
            None
        }
    };
    policy.insert("Statement".to_owned(), Value::Array(statements));
    Some((Value::Object(policy).to_string(), before))
}

/// Returns the normal form of a statement: sorted lists, and a list of one element as the element.
pub(super) fn normal(value: &Value) -> Value {
    match value {
        Value::Array(list) if list.len() == 1 => normal(&list[0]),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(normal).collect();
            list.sort_by_key(Value::to_string);
            Value::Array(list)
        }
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), normal(value)))
            .collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn foreign_statements_stay() {
        let foreign =
            r#"{"Version": "2008-10-17", "Id": "x", "Statement": {"Sid": "Mine", "Effect": "Deny"}}"#;
        let (policy, before) = with(Some(foreign), &tls_only("b")).unwrap();
        assert_eq!(before, None);
        let policy: Value = serde_json::from_str(&policy).unwrap();
        assert_eq!(
            (&policy["Version"], &policy["Id"]),
            (&json!("2008-10-17"), &json!("x"))
        );
        assert_eq!(policy["Statement"][0], json!({"Sid": "Mine", "Effect": "Deny"}));
        assert_eq!(policy["Statement"][1], tls_only("b"));
        // A second call replaces the own statement and changes nothing else.
        let (again, before) = with(Some(&policy.to_string()), &tls_only("b")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), policy);
        assert_eq!(before, Some(tls_only("b")));
        assert!(with(Some("nonsense"), &tls_only("b")).is_none());
    }

    #[test]
    fn equivalent_statements_have_one_normal_form() {
        let one = senders("arn:aws:sqs:r:1:q", ["a".to_owned()].iter());
        let mut other = one.clone();
        other["Action"] = json!(["sqs:SendMessage"]);
        other["Condition"]["ArnEquals"]["aws:SourceArn"] = json!("arn:aws:s3:::a");
        assert_ne!(one, other);
        assert_eq!(normal(&one), normal(&other));
        assert_ne!(
            normal(&one),
            normal(&senders("arn:aws:sqs:r:1:q", ["b".to_owned()].iter()))
        );
    }
}
