//! Storyboards and contact sheets in addition to the archive, with failures of workers.

use std::os::unix::process::ExitStatusExt;

use serde_json::Value;

use super::place::{EVERYWHERE, Kind, Place};
use super::video;

const ALL: &[&str] = &[
    "--fps",
    "5",
    "--storyboard=every=1s,columns=2,rows=2,width=80",
    "--sheet=count=4,format=png",
    "--preview=fps=5,width=80",
];

fn output(job: &Value, index: usize) -> &str {
    job["result"]["outputs"][index]["key"].as_str().unwrap()
}

#[test]
fn outputs_are_written_and_fetched() {
    for kind in EVERYWHERE {
        let Some(place) = Place::of(kind) else { continue };
        let id = place.submit(video::short(), ALL);
        place.finish();
        // `check` compares the reported values.
        let job = place.check(1).remove(0);
        assert_eq!(
            output(&job, 0),
            format!("results/{id}/1.storyboard/storyboard.vtt")
        );
        let sheet = output(&job, 1).to_owned();
        assert_eq!(sheet, format!("results/{id}/1.sheet/sheet.png"));

        let folder = place.folder.path().join("fetched");
        let path = folder.to_str().unwrap();
        place.stdout(&["result", &id, "--storyboard", "-o", path]);
        let text = std::fs::read_to_string(folder.join("storyboard.vtt")).unwrap();
        let file = text.lines().find_map(|line| line.strip_suffix("#xywh=0,0,80,45"));
        assert!(folder.join(file.unwrap()).is_file(), "{text}");
        let refused = place.output(&["result", &id, "--storyboard", "-o", path]);
        assert_eq!(refused.status.code(), Some(9), "the folder exists");
        place.stdout(&["result", &id, "--storyboard", "-y", "-o", path]);
        let picture = place.folder.path().join("sheet.png");
        place.stdout(&["result", &id, "--sheet", "-o", picture.to_str().unwrap()]);
        assert_eq!(std::fs::read(picture).unwrap(), place.get(&sheet).unwrap());
        let animated = place.folder.path().join("preview.webp");
        place.stdout(&["result", &id, "--preview", "-o", animated.to_str().unwrap()]);
        assert!(std::fs::read(animated).unwrap().starts_with(b"RIFF"));
        let text = place.stdout(&["job", &id]);
        assert!(text.contains("storyboard.vtt: 3 frames, 4 files, "), "{text}");

        // The same work has the same outputs.
        let again = place.submit(video::short(), ALL);
        place.finish();
        let jobs = place.check(2);
        let again = jobs.iter().find(|job| job["id"] == again.as_str()).unwrap();
        assert_eq!(again["result"], job["result"]);
    }
}

fn killed_at(kind: Kind, point: &str, chosen: bool) {
    let Some(place) = Place::of(kind) else { return };
    let chosen_key = ["--output-key", "chosen/a.zip"];
    let options = [ALL, if chosen { &chosen_key } else { &[] }].concat();
    let id = place.submit(video::short(), &options);
    let fault = format!("{point}=kill");
    let mut worker = place.worker(&[("VF_FAULT", &fault)], &[]);
    assert_eq!(worker.wait().signal(), Some(9), "{point}\n{}", worker.log());
    place.finish();
    let job = place.check(1).remove(0);
    assert_eq!(job["status"], "completed", "{point}: {job}");
    let archive = job["result"]["key"].as_str().unwrap();
    let stem = archive.strip_suffix(".zip").unwrap();
    if !chosen {
        let adopted = ["uploaded", "committed"].contains(&point);
        assert_eq!(stem == format!("results/{id}/1"), adopted, "{point}: {archive}");
    }
    assert_eq!(
        output(&job, 0),
        format!("{stem}.storyboard/storyboard.vtt"),
        "{point}"
    );
    assert_eq!(output(&job, 1), format!("{stem}.sheet/sheet.png"), "{point}");
    assert_eq!(output(&job, 2), format!("{stem}.preview/preview.webp"), "{point}");
}

#[test]
fn a_worker_killed_around_outputs_loses_nothing() {
    for kind in EVERYWHERE {
        for chosen in [false, true] {
            std::thread::scope(|scope| {
                for point in ["extracting", "uploaded", "committed"] {
                    scope.spawn(move || killed_at(kind, point, chosen));
                }
            });
        }
    }
}
