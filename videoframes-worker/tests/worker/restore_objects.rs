//! Restores of objects in a versioned bucket.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cloud::Cloud;
use super::place::{Place, runtime};

/// The visible objects: key → content and metadata.
type Objects = BTreeMap<String, (Vec<u8>, BTreeMap<String, String>)>;

struct Bucket {
    place: Place,
    client: aws_sdk_s3::Client,
    name: String,
}

impl Bucket {
    /// Returns an empty versioned bucket.
    fn new() -> Option<Self> {
        let place = Place::sqlite().with_cloud(Cloud::new)?;
        let cloud = place.cloud.as_ref().unwrap();
        let (client, name) = (runtime().block_on(cloud.buckets()), cloud.name.clone());
        let bucket = Self { place, client, name };
        bucket.set_versioning(BucketVersioningStatus::Enabled);
        Some(bucket)
    }

    fn set_versioning(&self, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let request = self.client.put_bucket_versioning().bucket(&self.name);
        runtime()
            .block_on(request.versioning_configuration(configuration).send())
            .unwrap();
    }

    fn put(&self, key: &str, content: &str) {
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request
            .body(content.as_bytes().to_vec().into())
            .content_type("application/zip")
            .metadata("vf-job", format!("job of {content}"));
        runtime().block_on(request.send()).unwrap();
    }

    fn delete(&self, key: &str) {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        runtime().block_on(request.send()).unwrap();
    }

    /// Returns a time after all earlier and before all later writes: servers store whole seconds.
    fn moment() -> String {
        std::thread::sleep(Duration::from_millis(1100));
        let moment = OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        moment
    }

    fn objects(&self) -> Objects {
        runtime().block_on(async {
            let listed = self
                .client
                .list_objects_v2()
                .bucket(&self.name)
                .send()
                .await
                .unwrap();
            let mut objects = Objects::new();
            for object in listed.contents() {
                let key = object.key().unwrap();
                let request = self.client.get_object().bucket(&self.name).key(key);
                let got = request.send().await.unwrap();
                let metadata = got.metadata.clone().unwrap_or_default().into_iter().collect();
                assert_eq!(got.content_type(), Some("application/zip"));
                let content = got.body.collect().await.unwrap().to_vec();
                objects.insert(key.to_owned(), (content, metadata));
            }
            objects
        })
    }

    /// Returns the identifiers of all versions with data.
    fn versions(&self) -> Vec<String> {
        let request = self.client.list_object_versions().bucket(&self.name);
        let listed = runtime().block_on(request.send()).unwrap();
        let versions = listed.versions().iter();
        versions
            .map(|version| version.version_id().unwrap().to_owned())
            .collect()
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vf-worker"));
        command.envs(self.place.cloud.as_ref().unwrap().environment());
        command.arg("restore-objects").args(args);
        command
    }

    fn restore(&self, args: &[&str]) -> Value {
        let done = self.command(&[args, &["--json"]].concat()).output().unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
        serde_json::from_slice(&done.stdout).unwrap()
    }

    /// Writes objects, and changes them after a moment. Returns the moment and the objects at that time.
    fn history(&self) -> (String, Objects) {
        self.put("results/replaced.zip", "first");
        self.put("results/replaced-same-size.zip", "one");
        self.put("results/deleted.zip", "kept");
        self.put("results/ä b+c%.zip", "encoded");
        self.put("results/gone.zip", "before");
        self.delete("results/gone.zip");
        self.put("results/same.zip", "same");
        self.put("other/deleted.zip", "other");
        let before = self.objects();
        let moment = Self::moment();
        for (key, content) in [
            ("results/replaced.zip", "second"),
            ("results/replaced-same-size.zip", "two"),
            ("results/ä b+c%.zip", "newer"),
            ("results/new.zip", "new"),
        ] {
            self.put(key, content);
        }
        self.delete("results/ä b+c%.zip");
        for key in ["results/deleted.zip", "results/deleted.zip", "other/deleted.zip"] {
            self.delete(key);
        }
        (moment, before)
    }
}

#[test]
fn objects_return_to_the_state_of_a_time_and_no_version_is_deleted() {
    let Some(bucket) = Bucket::new() else { return };
    let (moment, mut before) = bucket.history();
    let (versions, damaged) = (bucket.versions(), bucket.objects());
    let plan = bucket.restore(&["results/", "--at", &moment, "--dry-run"]);
    let count = |report: &Value, name: &str| report[name].as_u64().unwrap();
    let counts = |report: &Value| {
        ["deleted_later", "replaced_later", "unchanged", "created_later"].map(|name| count(report, name))
    };
    assert_eq!(counts(&plan), [1, 3, 2, 1], "{plan}");
    assert_eq!(bucket.objects(), damaged, "a dry run changes nothing");
    let done = bucket.restore(&["results/", "--at", &moment]);
    assert_eq!(counts(&done), [1, 3, 2, 1], "{done}");
    before.remove("other/deleted.zip");
    before.insert("results/new.zip".to_owned(), damaged["results/new.zip"].clone());
    assert_eq!(bucket.objects(), before);
    let after = bucket.versions();
    assert!(
        versions.iter().all(|version| after.contains(version)),
        "no version is lost"
    );
    // A second run has nothing to do.
    let again = bucket.restore(&["results/", "--at", &moment, "-j", "1"]);
    assert_eq!(counts(&again), [0, 0, 6, 1], "{again}");
    assert_eq!(bucket.versions().len(), after.len());
    // A time before all objects changes nothing either.
    let early = bucket.restore(&["results/", "--at", "1h"]);
    assert_eq!(counts(&early), [0, 0, 1, 6], "{early}");
    assert_eq!(bucket.objects(), before);
}

#[test]
fn a_killed_restore_ends_in_the_same_state_after_another_run() {
    for (fault, bucket) in
        ["versions_listed", "marker_removed", "version_copied"].map(|fault| (fault, Bucket::new()))
    {
        let Some(bucket) = bucket else { return };
        let (moment, before) = bucket.history();
        let mut command = bucket.command(&["", "--at", &moment, "-j", "1"]);
        let killed = command.env("VF_FAULT", format!("{fault}=kill")).status().unwrap();
        assert_eq!(killed.code(), None, "{fault}");
        bucket.restore(&["", "--at", &moment]);
        let mut after = bucket.objects();
        after.remove("results/new.zip").unwrap();
        assert_eq!(after, before, "{fault}");
        let again = bucket.restore(&["", "--at", &moment]);
        assert_eq!(
            (&again["deleted_later"], &again["replaced_later"]),
            (&0.into(), &0.into())
        );
    }
}

#[test]
fn a_bucket_without_versions_and_wrong_times_are_errors() {
    let Some(place) = Place::sqlite().with_cloud(Cloud::new) else {
        return;
    };
    let bucket = Bucket {
        client: runtime().block_on(place.cloud.as_ref().unwrap().buckets()),
        name: place.cloud.as_ref().unwrap().name.clone(),
        place,
    };
    let check = |args: &[&str], code: i32, text: &str| {
        let failed = bucket.command(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(text), "{args:?}: {stderr}");
    };
    check(&["results/", "--at", "1h"], 21, "has no versions");
    check(&["results/", "--at", "31d"], 3, "may have expired");
    check(
        &["results/", "--at", "31d", "--incomplete"],
        21,
        "has no versions",
    );
    check(&["results/", "--at", "2999-01-01T00:00:00Z"], 2, "in the future");
    check(&["results/", "--at", "soon"], 2, "2026-01-31T12:00:00Z");
    check(
        &["results/", "--at", "1h", "--bucket", "foreign"],
        2,
        "neither that of VF_STORAGE",
    );
    // Versions that were written before a suspension are restored.
    bucket.set_versioning(BucketVersioningStatus::Enabled);
    bucket.put("results/a.zip", "a");
    let moment = Bucket::moment();
    bucket.delete("results/a.zip");
    bucket.set_versioning(BucketVersioningStatus::Suspended);
    bucket.restore(&["results/", "--at", &moment]);
    assert_eq!(bucket.objects().len(), 1);
    let folder = Place::sqlite();
    let failed = folder.output(&["restore-objects", "", "--at", "1h"]);
    assert_eq!(failed.status.code(), Some(2));
}
