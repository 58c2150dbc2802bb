//! Compares docs/retention.md with the code.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;

use super::ProvisionArgs;
use super::plan::{Desired, Names, Role, Terms, version_days};
use crate::config::{BucketPlace, VARIABLES, time};

/// Returns the content of a file of the repository.
fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Returns the cells of the table, row by row.
fn rows() -> Vec<Vec<String>> {
    let text = file("docs/retention.md");
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    };
    rows.skip(1).map(cells).collect()
}

/// Returns the names and values in backticks.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Returns a setting of the deployed configuration of pgBackRest.
fn backup_setting(name: &str) -> Option<String> {
    let configuration = file("deploy/backup/pgbackrest/pgbackrest.conf");
    let settings = configuration.lines().filter_map(|line| line.split_once('='));
    let found = settings.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.to_owned())
}

/// Returns the resources with the default settings.
fn desired() -> Desired {
    let default = |name: &str| VARIABLES.iter().find(|(known, ..)| *known == name).unwrap().1;
    let option = |name: &str| option(name).unwrap().parse().unwrap();
    let names = Names {
        storage: Some(BucketPlace::parse("frames").unwrap()),
        input: Some("sqs:in".parse().unwrap()),
        further_inputs: Vec::new(),
        notifier: Some("sqs:out".parse().unwrap()),
        dead_letter_queue: Some("sqs:dead".parse().unwrap()),
        ..Names::default()
    };
    let terms = Terms {
        encryption: videoframes_core::storage::S3Encryption::S3,
        tls: true,
        upload_days: option("upload-days"),
        version_days: version_days(time(default("VF_VERSION_RETENTION")).unwrap()),
        message_days: option("message-days").try_into().unwrap(),
        visibility: std::time::Duration::from_secs(100),
        max_receives: 50,
        events: Vec::new(),
    };
    Desired::new(&names, &terms).unwrap()
}

/// Returns the default of an option of `provision`, if the option exists.
fn option(name: &str) -> Option<String> {
    let command = ProvisionArgs::augment_args(clap::Command::new("provision"));
    let options: Vec<_> = command.get_arguments().cloned().collect();
    let option = options
        .into_iter()
        .find(|option| option.get_long() == Some(name))?;
    let default = option.get_default_values().first()?.to_str()?;
    Some(default.to_owned())
}

#[test]
fn the_table_names_settings_that_exist_with_their_defaults() {
    let desired = desired();
    let rules: BTreeSet<&str> = desired
        .buckets
        .iter()
        .filter_map(|bucket| bucket.own.as_ref())
        .flat_map(|own| own.lifecycle.iter().map(|rule| rule.id))
        .collect();
    let dead_letters = desired
        .queues
        .iter()
        .find(|queue| queue.role == Role::DeadLetterQueue)
        .unwrap();
    let mut named = BTreeSet::new();
    for row in rows() {
        let [data, kept, setting, default, by] = row.as_slice() else {
            panic!("a row has five cells: {row:?}");
        };
        let names = code(setting);
        assert_eq!(names.is_empty(), by.is_empty(), "{data}: a setting is enforced");
        let is_explained = kept.contains("not managed") || kept.contains("until");
        assert!(!names.is_empty() || is_explained, "{data}");
        for name in names {
            named.insert(name.to_owned());
            let expected = match name {
                _ if name.starts_with("VF_") => {
                    let known = VARIABLES.iter().find(|(known, ..)| *known == name);
                    known.map(|(_, default, _)| (*default).to_owned())
                }
                _ if name.starts_with("--") => option(&name[2..]),
                _ if name.starts_with("repo1-") => backup_setting(name),
                "MessageRetentionPeriod" => {
                    let seconds: u64 = dead_letters.attributes[name].parse().unwrap();
                    Some((seconds / 86400).to_string())
                }
                _ => {
                    assert!(rules.contains(name), "{data}: no rule {name}");
                    continue;
                }
            };
            let expected = expected.unwrap_or_else(|| panic!("{data}: no setting {name}"));
            assert_eq!(code(default), [expected.as_str()], "{data}: {name}");
        }
    }
    let retentions = VARIABLES
        .iter()
        .filter(|(_, _, meaning)| meaning.starts_with("retention"));
    let all = retentions.map(|(name, ..)| *name).chain(rules);
    for name in all {
        assert!(named.contains(name), "{name} is missing in the table");
    }
}
