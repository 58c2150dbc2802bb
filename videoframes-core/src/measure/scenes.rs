//! Scene changes, as the `ContentDetector` of PySceneDetect 0.7.2 finds them.

/// Minimum number of frames in a scene: the default of `ContentDetector`.
const MIN_SCENE: usize = 15;

/// Returns the frames that begin a scene, without the first frame: those with a difference of at least `threshold`, after the
/// filter `FlashFilter` in the mode `MERGE`. Changes closer than [`MIN_SCENE`] frames become one change, at the last of them.
pub(super) fn cuts(differences: impl Iterator<Item = f64>, threshold: f64) -> Vec<usize> {
    let mut cuts = Vec::new();
    // Last frame above the threshold; at first the first frame.
    let mut last_above = 0;
    // First of the changes that are merged.
    let mut merge_start = None;
    for (frame, difference) in differences.enumerate() {
        let above = difference >= threshold;
        let is_long = frame - last_above >= MIN_SCENE;
        if above {
            last_above = frame;
        }
        match merge_start {
            Some(start) if is_long && !above && last_above - start >= MIN_SCENE => {
                merge_start = None;
                cuts.push(last_above);
            }
            Some(_) => {}
            None if above && is_long => cuts.push(frame),
            // Changes are merged only after the first scene change.
            None if above && !cuts.is_empty() => merge_start = Some(frame),
            None => {}
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of `FlashFilter(Mode.MERGE, 15)`.
    #[test]
    fn close_changes_are_merged_as_by_pyscenedetect() {
        for (changes, expected) in [
            (&[][..], &[][..]),
            (&[14], &[]),
            (&[15], &[15]),
            (&[5, 20], &[20]),
            (&[5, 19], &[]),
            (&[20, 35], &[20, 35]),
            (&[20, 34], &[20]),
            (&[20, 30, 40, 50], &[20, 50]),
            (&[20, 30, 40], &[20]),
            (&[20, 25, 60], &[20, 60]),
        ] {
            let differences = (0..100).map(|frame| if changes.contains(&frame) { 27.0 } else { 26.9 });
            assert_eq!(cuts(differences, 27.0), expected, "{changes:?}");
        }
    }
}
