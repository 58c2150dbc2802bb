"""Compares the scenes of `vf extract --scene` with those of PySceneDetect.

    python3 -m pip install scenedetect opencv-python-headless
    python3 benches/peers/scenes.py VF VIDEO...

Prints the scenes of both, and the scores of common ones, for several thresholds.
"""

import json
import subprocess
import sys
import tempfile

from scenedetect import ContentDetector, SceneManager, StatsManager, open_video

THRESHOLDS = [27, 15, 8]


def by_pyscenedetect(video, threshold):
    """Returns the first frame of each scene with its score."""
    opened, stats = open_video(video), StatsManager()
    manager = SceneManager(stats)
    manager.add_detector(ContentDetector(threshold=threshold))
    manager.detect_scenes(opened)
    frames = [start.frame_num for start, _ in manager.get_scene_list()] or [0]
    return {frame: stats.get_metrics(opened.base_timecode + frame, ["content_val"])[0] for frame in frames}


def by_vf(vf, video, threshold):
    """Returns the first frame of each scene with its score."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/scenes"
        subprocess.run([vf, "extract", video, "--scene", str(threshold), "-o", out, "--quiet"], check=True)
        with open(f"{out}/manifest.json", encoding="utf-8") as manifest:
            frames = json.load(manifest)["frames"]
    return {frame["frame"]: frame["picked"].get("score") for frame in frames}


def main():
    vf, *videos = sys.argv[1:]
    for video in videos:
        for threshold in THRESHOLDS:
            theirs, ours = by_pyscenedetect(video, threshold), by_vf(vf, video, threshold)
            print(f"{video}, threshold {threshold}: PySceneDetect {sorted(theirs)}, vf {sorted(ours)}")
            for frame in sorted(set(theirs) & set(ours) - {0}):
                print(f"    frame {frame}: {theirs[frame]:.1f}, {ours[frame]:.1f}")


if __name__ == "__main__":
    main()
