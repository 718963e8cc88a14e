"""What users install: the wheel, in an environment of its own outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.training_data import ROOT

pytestmark = pytest.mark.slow


def run(*command: object, folder: Path) -> str:
    """What it prints, run in that folder with nothing of the checkout in sight."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "STREAMGUARD"))}
    kept["XDG_CACHE_HOME"] = str(folder)
    line = [*map(str, command)]
    done = subprocess.run(line, cwd=folder, env=kept, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_scans_a_clip(tmp_path: Path, half_fake: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT, folder=tmp_path)
    (wheel,) = tmp_path.glob("streamguard-*.whl")
    home = tmp_path / "home"
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", wheel, folder=tmp_path)
    # Its libraries are those of this environment, which take gigabytes. A path file in there, such as that of this
    # checkout, is not read.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = "import streamguard, streamguard.report as r; print(streamguard.__file__); r.render_page"
    assert Path(run(python, "-c", where, folder=tmp_path).strip()).is_relative_to(home)
    run(home / "bin" / "streamguard", "scan", half_fake, "--engine", "torch", "--json", "report.json", folder=tmp_path)
    (file,) = json.loads((tmp_path / "report.json").read_text())["files"]
    assert file["frames"] > 0
    for name in ("page.html", "style.css"):
        assert (packages / "streamguard" / "report" / "templates" / name).is_file()
    assert list((packages / "streamguard" / "engines").glob("*/weights.safetensors"))
