//! The guarantees that hold after every test.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::place::Place;

impl Place {
    /// Asserts the guarantees, and returns the jobs. Every job is terminal once and has notifications under one ID,
    /// completed jobs have a complete archive, and no files are left.
    pub(crate) fn check(&self, jobs: usize) -> Vec<Value> {
        let rows = self.jobs();
        assert_eq!(rows.len(), jobs);
        for row in &rows {
            let status = row["status"].as_str().unwrap();
            assert!(["completed", "failed", "cancelled"].contains(&status), "{row}");
            let id = row["id"].as_str().unwrap();
            let reported: BTreeSet<String> = self
                .notifications()
                .iter()
                .filter(|event| {
                    event["data"]["job_id"] == id && event["data"]["generation"] == row["generation"]
                })
                .map(|event| {
                    assert_eq!(event["data"]["status"], status);
                    assert_eq!(event["data"]["result"], row["result"]);
                    event["id"].as_str().unwrap().to_owned()
                })
                .collect();
            assert_eq!(reported.len(), 1, "{id} is reported of under one id");
            if status == "completed" {
                let archive = self.get(row["result"]["key"].as_str().unwrap()).unwrap();
                assert_eq!(row["result"]["size"], archive.len());
                let zip = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
                assert_eq!(row["result"]["frames"], zip.len() - 1);
                for rendition in row["result"]["renditions"].as_array().into_iter().flatten() {
                    self.check_rendition(rendition);
                }
                for output in row["result"]["outputs"].as_array().into_iter().flatten() {
                    self.check_output(output);
                }
            }
        }
        assert_eq!(self.decoders(), Vec::<i32>::new(), "no decoder is left");
        assert_eq!(self.unfinished(), 0, "no half-written object is left");
        assert_eq!(self.scratch(), Vec::<PathBuf>::new(), "no scratch folder is left");
        rows
    }

    /// Asserts that the files of an output exist as reported.
    fn check_output(&self, output: &Value) {
        let manifest = self.get(output["manifest"].as_str().unwrap()).unwrap();
        let main = output["key"].as_str().unwrap();
        let folder = &main[..=main.rfind('/').unwrap()];
        let content: Value = serde_json::from_slice(&manifest).unwrap();
        let frames = content["frames"].as_array().unwrap();
        assert_eq!(output["frames"], frames.len(), "{output}");
        let files = content["files"].as_array().into_iter().flatten();
        let names = frames.iter().map(|frame| &frame["file"]).chain(files);
        let names: BTreeSet<&str> = names.map(|name| name.as_str().unwrap()).collect();
        let sizes = names
            .iter()
            .map(|name| self.get(&format!("{folder}{name}")).unwrap().len());
        let size = sizes.sum::<usize>() + manifest.len();
        assert_eq!(
            (&output["files"], &output["size"]),
            (&json!(names.len() + 1), &json!(size))
        );
        assert_eq!(output["sha256"], sha256(&self.get(main).unwrap()), "{output}");
    }

    /// Asserts that a rendition exists as reported, and plays.
    fn check_rendition(&self, rendition: &Value) {
        if rendition["status"] != "made" {
            return;
        }
        let bytes = self.get(rendition["key"].as_str().unwrap()).unwrap();
        assert_eq!(rendition["size"], bytes.len(), "{rendition}");
        assert_eq!(rendition["sha256"], sha256(&bytes), "{rendition}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-count_frames", "-select_streams", "v"]);
        probe.args([
            "-show_entries",
            "stream=codec_name,width,height,nb_read_frames",
            "-of",
            "csv=p=0",
        ]);
        let printed = probe.arg(file.path()).output().unwrap();
        let text = |name: &str| rendition[name].to_string().replace('"', "");
        let wanted = ["codec", "width", "height", "frames"].map(text).join(",");
        assert_eq!(String::from_utf8_lossy(&printed.stdout).trim(), wanted);
    }
}

fn sha256(bytes: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(bytes);
    digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
