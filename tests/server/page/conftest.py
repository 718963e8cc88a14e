"""The detector's clips as cameras."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.page.browsing import camera_clip


@pytest.fixture(scope="session")
def fake_camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that shows a green face."""
    return camera_clip(tmp_path_factory.mktemp("cameras") / "fake.y4m", fake=True)


@pytest.fixture(scope="session")
def real_camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that shows a face as it is."""
    return camera_clip(tmp_path_factory.mktemp("cameras") / "real.y4m", fake=False)
