"""The program vf: where it is, and how it runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ._errors import ProgramMissingError, VideoFramesError, VideoFramesWarning, error_of

# Frames arrive in large blocks; the default of 64 KiB costs a switch of processes for each.
_PIPE_BYTES = 1 << 20
_SET_PIPE_SIZE = 1031
# Maximum number of kept lines of stderr. The last ones have the error, and a damaged video may have a warning for each frame.
_MAX_LINES = 1000


@dataclass(frozen=True)
class Progress:
    """Progress of an extraction."""

    frames: int
    """Number of frames that are written."""
    total: int | None
    """Number of all frames, if known."""


def find_program() -> str:
    """Returns the path of vf: that of the variable VIDEOFRAMES_VF, of this package, or of the search path.

    Raises:
        ProgramMissingError: there is no vf.
    """
    given = os.environ.get("VIDEOFRAMES_VF")
    if given:
        return given
    folders = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")),
        # `pip install --target` has the programs in the folder of the packages.
        str(Path(__file__).resolve().parent.parent / "bin"),
    ]
    for folder in folders:
        program = Path(folder, "vf")
        if program.is_file() and os.access(program, os.X_OK):
            return str(program)
    if found := shutil.which("vf"):
        return found
    raise ProgramMissingError("there is no program vf", "install the package videoframes again")


class _Errors(threading.Thread):
    """Reads stderr: progress as JSON, and lines of text."""

    def __init__(self, pipe: IO[bytes], report: Callable[[Progress], None] | None) -> None:
        super().__init__(name="videoframes-stderr", daemon=True)
        self.lines: deque[str] = deque(maxlen=_MAX_LINES)
        self.failure: BaseException | None = None
        self._pipe = pipe
        self._report = report
        self.start()

    def run(self) -> None:
        for line in self._pipe:
            text = line.decode(errors="replace").rstrip("\n")
            if text.startswith("{"):
                self._reported(text)
            else:
                self.lines.append(text)

    def _reported(self, text: str) -> None:
        if self._report is None or self.failure is not None:
            return
        try:
            fields: dict[str, Any] = json.loads(text)
            self._report(Progress(frames=fields.get("frames", 0), total=fields.get("total")))
        except BaseException as failure:  # the caller of the extraction raises it
            self.failure = failure


@contextlib.contextmanager
def output_of(arguments: Sequence[str], progress: Callable[[Progress], None] | None = None) -> Iterator[IO[bytes]]:
    """Runs `vf extract`, and yields its stdout. Ends vf if the body fails or does not read everything. Its warnings become
    Python warnings.

    Raises:
        VideoFramesError: vf failed.
    """
    kind = "none" if progress is None else "json"
    command = [find_program(), "extract", "--progress", kind, *arguments]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as cause:
        raise ProgramMissingError(f"failed to start '{command[0]}': {cause.strerror}") from cause
    assert process.stdout is not None and process.stderr is not None
    errors = _Errors(process.stderr, progress)
    is_read, end = False, None
    try:
        _enlarge(process.stdout)
        yield process.stdout
        is_read = True
    except EOFError as error:
        # The exit code says why vf has ended early.
        is_read, end = True, error
    finally:
        process.stdout.close()
        if not is_read:
            process.terminate()
        exit_code = process.wait()
        errors.join()
        process.stderr.close()
    if errors.failure is not None:
        raise errors.failure
    if exit_code != 0:
        raise error_of(exit_code, list(errors.lines))
    if end is not None:
        raise VideoFramesError("vf has written an incomplete result") from end
    for line in errors.lines:
        if line.startswith("warning: "):
            warnings.warn(line.removeprefix("warning: "), VideoFramesWarning, stacklevel=_callers())


def _callers() -> int:
    """Returns the level in the stack of the function that called this package, as seen by the caller of this function."""
    own = (str(Path(__file__).parent), contextlib.__file__)
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        frame, level = frame.f_back, level + 1
    return level


def _enlarge(pipe: IO[bytes]) -> None:
    """Enlarges a pipe, where the system permits it."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe.fileno(), _SET_PIPE_SIZE, _PIPE_BYTES)
        except OSError:
            pass
