//! Videos and archives at `s3://bucket/key`, in the S3 store given by `VF_TEST_S3`.
#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

#[path = "../../videoframes-core/tests/resources/mod.rs"]
mod resources;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use serde_json::Value;
use tokio::runtime::Runtime;

const KEY: &str = "videoframes";
const SECRET: &str = "videoframes-secret";

/// A bucket with the video `in/a b+ü.mp4`, and the same video as a file.
struct Place {
    folder: tempfile::TempDir,
    address: String,
    bucket: String,
    client: Client,
    runtime: Runtime,
}

impl Place {
    fn new() -> Option<Self> {
        let address = resources::named("VF_TEST_S3", "skipped on S3")?;
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&address)
            .force_path_style(true)
            .credentials_provider(Credentials::new(KEY, SECRET, None, None, "test"))
            .build();
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy();
        let letters = name.bytes().map(|byte| format!("{byte:02x}"));
        let place = Self {
            bucket: format!("vf-cli-{}-{}", letters.collect::<String>(), std::process::id()),
            client: Client::from_conf(config),
            runtime: Runtime::new().unwrap(),
            address,
            folder,
        };
        let create = place.client.create_bucket().bucket(&place.bucket).send();
        place.runtime.block_on(create).unwrap();
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"])
            .arg("testsrc2=s=320x180:r=25:d=40,noise=alls=20:allf=t")
            .args(["-pix_fmt", "yuv420p", "-preset", "ultrafast", "-g", "25"])
            .args(["-movflags", "+faststart"])
            .arg(place.video())
            .status();
        assert!(made.unwrap().success());
        let video = std::fs::read(place.video()).unwrap();
        place.put("in/a b+ü.mp4", video);
        Some(place)
    }

    fn video(&self) -> PathBuf {
        self.folder.path().join("a b+ü.mp4")
    }

    fn put(&self, key: &str, bytes: Vec<u8>) {
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put.body(ByteStream::from(bytes)).send();
        self.runtime.block_on(put).unwrap();
    }

    fn get(&self, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let object = self.client.get_object().bucket(&self.bucket).key(key).send();
            let body = object.await.unwrap().body.collect().await;
            body.unwrap().into_bytes().to_vec()
        })
    }

    /// Returns the existing keys, and the number of incomplete uploads.
    fn state(&self) -> (Vec<String>, usize) {
        self.runtime.block_on(async {
            let listed = self.client.list_objects_v2().bucket(&self.bucket).send();
            let listed = listed.await.unwrap();
            let keys = listed.contents().iter().map(|object| object.key().unwrap());
            let open = self.client.list_multipart_uploads().bucket(&self.bucket).send();
            (
                keys.map(str::to_owned).collect(),
                open.await.unwrap().uploads().len(),
            )
        })
    }

    fn at(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn vf(&self, args: &[&str], secret: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vf"))
            .args(args)
            .envs([
                ("AWS_REGION", "us-east-1"),
                ("AWS_ENDPOINT_URL_S3", &self.address),
                ("AWS_ACCESS_KEY_ID", KEY),
                ("AWS_SECRET_ACCESS_KEY", secret),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn extract(&self, video: &str, out: &str, extra: &[&str]) -> Output {
        let args = [&["extract", video, "-n", "3", "--json", "-o", out], extra].concat();
        self.vf(&args, SECRET)
    }

    fn local(&self) -> Vec<u8> {
        let out = self.folder.path().join("local.zip");
        let video = self.video();
        let [video, out] = [&video, &out].map(|path: &PathBuf| path.to_str().unwrap());
        assert!(self.extract(video, out, &["-y"]).status.success());
        std::fs::read(Path::new(out)).unwrap()
    }
}

/// Returns the exit code and the first line of stderr.
fn refusal(output: &Output) -> (Option<i32>, String) {
    let printed = String::from_utf8_lossy(&output.stderr);
    (
        output.status.code(),
        printed.lines().next().unwrap_or_default().to_owned(),
    )
}

#[test]
fn an_object_gives_the_same_archive_as_a_file_and_few_bytes_are_read() {
    let Some(place) = Place::new() else { return };
    let local = place.local();
    let done = place.extract(&place.at("in/a b+ü.mp4"), &place.at("out/frames.zip"), &[]);
    assert!(done.status.success(), "{done:?}");
    assert!(place.get("out/frames.zip") == local);
    let reported: Value = serde_json::from_slice(&done.stdout).unwrap();
    let (read, size) = (
        reported["bytes_read"].as_u64().unwrap(),
        std::fs::metadata(place.video()).unwrap().len(),
    );
    assert!(read * 4 < size, "{read} of {size} bytes: {reported}");
}

#[test]
fn an_object_is_only_replaced_on_request() {
    let Some(place) = Place::new() else { return };
    let (video, out) = (place.at("in/a b+ü.mp4"), place.at("out.zip"));
    place.put("out.zip", b"foreign".to_vec());
    let (code, printed) = refusal(&place.extract(&video, &out, &[]));
    assert_eq!(code, Some(9), "{printed}");
    assert!(
        printed.contains("out.zip") && printed.contains("exists"),
        "{printed}"
    );
    assert_eq!(place.get("out.zip"), b"foreign");
    assert!(place.extract(&video, &out, &["-y"]).status.success());
    assert!(place.get("out.zip") == place.local());
}

#[test]
fn errors_are_one_line_and_leave_no_objects() {
    let Some(place) = Place::new() else { return };
    place.put("text.mp4", b"no video".repeat(100));
    let (video, out) = (place.at("in/a b+ü.mp4"), place.at("out.zip"));
    let nowhere = "s3://no-bucket-of-this-name/out.zip";
    for (video, out, secret, word) in [
        (
            place.at("missing.mp4").as_str(),
            out.as_str(),
            SECRET,
            "missing.mp4",
        ),
        (&place.at("text.mp4"), &out, SECRET, "text.mp4"),
        (&video, nowhere, SECRET, "no-bucket-of-this-name"),
        (
            "s3://no-bucket-of-this-name/v.mp4",
            &out,
            SECRET,
            "no-bucket-of-this-name",
        ),
        (&video, &out, "wrong", "credentials"),
    ] {
        let output = place.vf(&["extract", video, "-n", "3", "-o", out], secret);
        let (code, printed) = refusal(&output);
        assert!(
            code.is_some_and(|code| (2..=13).contains(&code)),
            "{word}: {output:?}"
        );
        assert!(
            printed.starts_with("error: ") && printed.contains(word),
            "{word}: {printed}"
        );
        assert_eq!(
            place.state(),
            (vec!["in/a b+ü.mp4".to_owned(), "text.mp4".to_owned()], 0)
        );
    }
}
