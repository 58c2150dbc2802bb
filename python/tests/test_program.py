"""Errors, progress and the end of the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import videoframes
from corpus import Clip


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, videoframes.UnreadableVideoError),
        (b"no video", videoframes.NotAVideoError),
    ],
)
def test_a_wrong_input_is_its_own_exception(tmp_path: Path, content: bytes | None, error: type[Exception]) -> None:
    path = tmp_path / "input.mp4"
    if content is not None:
        path.write_bytes(content)
    for call in (videoframes.extract, lambda video: videoframes.frames_at(video, [0])):
        with pytest.raises(error, match=r"input\.mp4"):
            call(path)


def test_a_damaged_video_raises_after_its_good_frames(usual: Clip, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    copy = ["-c", "copy", "-movflags", "+faststart", damaged]
    subprocess.run(["ffmpeg", "-v", "error", "-i", usual.path, *copy], check=True)
    os.truncate(damaged, damaged.stat().st_size // 2)
    frames = 0
    # The end of the file may also contradict the index of the container.
    with pytest.raises((videoframes.DamagedVideoError, videoframes.DecoderError)):
        for _ in videoframes.stream(damaged, all=True):
            frames += 1
    assert 0 < frames < len(usual.times)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda video: videoframes.frames_at(video, []), "no times"),
        (lambda video: videoframes.frames_at(video, [-1]), "negative"),
        (lambda video: videoframes.frames_at(video, [float("nan")]), "finite"),
        (lambda video: videoframes.frames_at(video, [True]), "not a number"),
        (lambda video: videoframes.frames_at(video, [99]), "99"),
        (lambda video: videoframes.frames_at(video, [1], count=2), "count selects"),
        (lambda video: videoframes.extract(video, 1, count=2), "contradict"),
        (lambda video: videoframes.extract(video, at=[]), "at is empty"),
        (lambda video: videoframes.extract(video, "fast"), "fast"),
        (lambda video: videoframes.extract("-"), "stdin"),
    ],
)
def test_a_wrong_argument_is_an_invalid_request(usual: Clip, call, text: str) -> None:
    with pytest.raises(videoframes.InvalidRequestError, match=text):
        call(usual.path)


def test_an_unknown_option_is_a_type_error(usual: Clip) -> None:
    with pytest.raises(TypeError, match="speed"):
        videoframes.extract(usual.path, speed=2)


def test_a_name_cannot_be_an_option(tmp_path: Path, usual: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("--json").write_bytes(usual.path.read_bytes())
    assert len(videoframes.extract("--json", count=2)) == 2


def test_a_missing_ffmpeg_is_its_own_exception(usual: Clip) -> None:
    with pytest.raises(videoframes.FfmpegMissingError) as raised:
        videoframes.extract(usual.path, ffmpeg="/nonexistent/ffmpeg")
    assert raised.value.exit_code == 10 and raised.value.hint


def test_a_missing_program_is_its_own_exception(usual: Clip, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("videoframes._program.find_program", lambda: str(tmp_path / "vf"))
    with pytest.raises(videoframes.ProgramMissingError):
        videoframes.extract(usual.path)


def test_the_error_after_many_warnings_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vf"
    program.write_text("#!/bin/sh\nfor i in $(seq 3000); do echo warning: $i >&2; done\necho error: damaged >&2\nexit 6\n")
    program.chmod(0o755)
    monkeypatch.setenv("VIDEOFRAMES_VF", str(program))
    with pytest.raises(videoframes.DamagedVideoError, match="^damaged$"):
        videoframes.extract("video.mp4")


def test_warnings_are_python_warnings(usual: Clip) -> None:
    with pytest.warns(videoframes.VideoFramesWarning, match="beyond the end") as caught:
        for _ in videoframes.stream(usual.path, start=0, end=99):
            pass
    assert Path(caught[0].filename) == Path(__file__)
    with pytest.warns(videoframes.VideoFramesWarning, match="beyond the end") as caught:
        videoframes.extract(usual.path, start=0, end=99)
    assert Path(caught[0].filename) == Path(__file__)


def test_ctrl_c_ends_vf(usual: Clip) -> None:
    program = (
        "import sys, videoframes\n"
        "for frame in videoframes.stream(sys.argv[1], all=True):\n"
        "    print('frame', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(usual.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == b"frame\n"
        # A terminal sends the signal to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert process.returncode != 0 and b"KeyboardInterrupt" in errors
        # The end of an orphaned decoder may take a moment.
        for _ in range(100):
            if not _group_exists(process.pid):
                return
            time.sleep(0.05)
        pytest.fail("vf or its decoder still runs")
    finally:
        if _group_exists(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_progress_reaches_the_number_of_frames(usual: Clip) -> None:
    seen: list[videoframes.Progress] = []
    videoframes.extract(usual.path, progress=seen.append)
    assert seen[-1] == videoframes.Progress(frames=12, total=12)


def test_an_exception_of_the_progress_is_raised(usual: Clip) -> None:
    def fail(_: videoframes.Progress) -> None:
        raise KeyError("progress")

    with pytest.raises(KeyError):
        videoframes.extract(usual.path, all=True, progress=fail)


def children() -> set[int]:
    return {int(process) for task in Path("/proc/self/task").iterdir() for process in (task / "children").read_text().split()}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_consumer_that_stops_early_ends_the_program(usual: Clip) -> None:
    for frame in videoframes.stream(usual.path, all=True):
        assert children()
        break
    del frame
    assert not children()
    assert all(thread.name != "videoframes-stderr" for thread in threading.enumerate())
