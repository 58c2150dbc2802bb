from __future__ import annotations

from pathlib import Path

import pytest

from corpus import CLIPS, Clip, make


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session", params=sorted(CLIPS))
def clip(request: pytest.FixtureRequest, folder: Path) -> Clip:
    return make(folder, request.param)


@pytest.fixture(scope="session")
def usual(folder: Path) -> Clip:
    return make(folder, "h264-b-frames.mp4")
