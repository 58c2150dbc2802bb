//! Runs a check over clips of the corpus.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clips::{self, Clip};

/// Checks the clips selected by `wanted` (or only `$VF_TEST_CLIP`), two at a time; panics with the failures of all
/// clips.
pub fn run(wanted: impl Fn(&Clip) -> bool, failures: impl Fn(&Clip) -> Vec<String> + Sync) {
    let only = std::env::var("VF_TEST_CLIP").ok();
    let clips: Vec<Clip> = clips::all()
        .into_iter()
        .filter(|clip| wanted(clip) && only.as_deref().is_none_or(|only| clip.name == only))
        .collect();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(clip) = clips.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failures = failures(clip);
                    all.lock().expect("no panic under the lock").extend(failures);
                }
            });
        }
    });
    let all = all.into_inner().expect("no panic under the lock");
    assert!(
        all.is_empty(),
        "{} failures:\n\n{}\n",
        all.len(),
        all.join("\n\n")
    );
}
