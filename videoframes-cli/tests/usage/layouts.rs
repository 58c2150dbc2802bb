//! Tar archives, manifests in other formats, and layouts for training data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Place;

/// Returns the entries of a tar archive in order, read by the `tar` of the system.
fn entries(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("-tf").arg(archive).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

fn entry(archive: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar").arg("-xOf").arg(archive).arg(name).output();
    output.unwrap().stdout
}

/// Extracts the two frames at 0 and 1 seconds.
fn extract(place: &Place, args: &[&str]) -> Vec<u8> {
    let run = place.run(&[&["extract", "video.mp4", "--at", "0,1"], args].concat());
    assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
    run.stdout
}

#[test]
fn a_tar_has_the_files_of_a_zip() {
    let place = Place::new();
    extract(&place, &["-o", "a.tar"]);
    extract(&place, &["-o", "folder/"]);
    let names = ["frame_000000.jpg", "frame_000001.jpg", "manifest.json"];
    assert_eq!(entries(&place.path("a.tar")), names);
    for name in names {
        let file = fs::read(place.path("folder").join(name)).unwrap();
        assert_eq!(entry(&place.path("a.tar"), name), file, "{name}");
    }
    let stdout = extract(&place, &["-o", "-", "--archive", "tar"]);
    assert_eq!(
        stdout,
        fs::read(place.path("a.tar")).unwrap(),
        "the same bytes again"
    );
    place
        .run(&["extract", "video.mp4", "-o", "a.tar"])
        .fails(9, &["-y replaces the existing output"]);
    place.run(&["storyboard", "video.mp4", "-n", "2", "-o", "s.tar"]);
    let sheets = [
        "sheet-000.jpg",
        "sheet-000.json",
        "storyboard.vtt",
        "manifest.json",
    ];
    assert_eq!(entries(&place.path("s.tar")), sheets);
}

#[test]
fn manifests_have_one_row_per_picture() {
    let place = Place::new();
    extract(&place, &["-o", "all/", "--manifest", "csv,json,jsonl"]);
    let read = |name: &str| fs::read_to_string(place.path("all").join(name)).unwrap();
    let manifest: Value = serde_json::from_str(&read("manifest.json")).unwrap();
    assert_eq!(
        manifest["files"],
        serde_json::json!(["manifest.jsonl", "manifest.csv"])
    );
    let rows: Vec<Value> = read("manifest.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(Value::from(rows), manifest["frames"]);
    let csv = read("manifest.csv");
    let rows: Vec<&str> = csv.split_terminator("\r\n").collect();
    assert_eq!(rows.len(), 3);
    assert!(
        rows[0].starts_with("index,file,shard,frame,target,pts,")
            && rows[2].starts_with("1,frame_000001.jpg,,25,1,"),
        "{csv}"
    );
    // The folder is recognized as a result, with its manifests.
    extract(&place, &["-o", "all/", "-y"]);
    assert!(!place.path("all/manifest.csv").exists());

    extract(&place, &["-o", "none.tar", "--manifest", "none"]);
    assert_eq!(
        entries(&place.path("none.tar")),
        ["frame_000000.jpg", "frame_000001.jpg"]
    );
}

#[test]
fn an_image_folder_names_the_file_of_each_row() {
    let place = Place::new();
    let name = ["--name", "{stem}/{index}"];
    extract(
        &place,
        &[&["-o", "data/", "--layout", "imagefolder"][..], &name].concat(),
    );
    let metadata = fs::read_to_string(place.path("data/metadata.jsonl")).unwrap();
    let mut times = Vec::new();
    for line in metadata.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let file = place.path("data").join(row["file_name"].as_str().unwrap());
        assert!(file.is_file(), "{row}");
        times.push(row["timestamp_s"].as_f64().unwrap());
    }
    assert_eq!(times, [0.0, 1.0]);
}

#[test]
fn webdataset_samples_are_a_picture_and_its_metadata() {
    let place = Place::new();
    let layout = ["--layout", "webdataset", "--name", "{index}_{time}"];
    extract(&place, &[&["-o", "a.tar"][..], &layout].concat());
    let samples = [
        "0_00-00-00_000.jpg",
        "0_00-00-00_000.json",
        "1_00-00-01_000.jpg",
        "1_00-00-01_000.json",
    ];
    assert_eq!(entries(&place.path("a.tar")), samples);
    let sample: Value = serde_json::from_slice(&entry(&place.path("a.tar"), samples[3])).unwrap();
    let found = ["source", "file", "frame", "timestamp_s"].map(|field| sample[field].clone());
    let expected = serde_json::json!(["video.mp4", samples[2], 25, 1.0]);
    assert_eq!(Value::from(found.to_vec()), expected);

    // A picture per shard, and all of it is the same again.
    let shards = [&["-o", "train", "--shard-size", "1"][..], &layout].concat();
    let contents = || -> BTreeMap<_, _> {
        let files = fs::read_dir(place.path("train")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    };
    extract(&place, &shards);
    let first = contents();
    assert_eq!(
        entries(&place.path("train/train-000001.tar")),
        [samples[2], samples[3]]
    );
    let manifest: Value = serde_json::from_slice(&first[&place.path("train/manifest.json")]).unwrap();
    assert_eq!(
        manifest["files"],
        serde_json::json!(["train-000000.tar", "train-000001.tar"])
    );
    assert_eq!(manifest["frames"][1]["shard"], "train-000001.tar");
    place
        .run(&[&["extract", "video.mp4"], &shards[..]].concat())
        .fails(9, &["-y replaces"]);
    extract(&place, &[&shards[..], &["-y"]].concat());
    assert_eq!(contents(), first);
    extract(
        &place,
        &[
            "-o",
            "train",
            "-y",
            "--layout",
            "webdataset",
            "--shard-bytes",
            "1MB",
        ],
    );
    assert_eq!(entries(&place.path("train/train-000000.tar")).len(), 4);
    assert_eq!(contents().len(), 2);
}
