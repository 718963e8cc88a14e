"""A short soak, whole: real processes, faults of every kind, and the report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from streamguard.errors import SourceTimeout
from tests.server.peers import until
from tests.soak import run as running
from tests.soak.conftest import PICTURES, RATE, SIZES
from tests.soak.faults import NAMES
from tests.soak.material import Material, as_json
from tests.soak.report import SoakReport
from tests.soak.run import Progress, soak
from tests.soak.stage import Plan, material_of
from tests.support.hosts import refused_port


@pytest.fixture
def plan(detector: Path, clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two streams of the green portrait, judged by the exact detector; the clips are made already."""

    async def made(material: Material, folder: Path) -> None:
        for made, path in zip(material.clips(folder), clips, strict=True):
            made.symlink_to(path)
            made.with_suffix(".json").symlink_to(path.with_suffix(".json"))

    monkeypatch.setattr(running, "made", made)
    return Plan(
        streams=2,
        seconds=24.0,
        every=4.0,
        warm_up=2.0,
        settle=60.0,
        rate=RATE,
        loop=PICTURES / RATE,
        size=SIZES[0],
        judged=4.0,
        model=str(detector),
        engine="torch",
    )


def with_faults(plan: Plan, *faults: str, **more: float) -> Plan:
    from dataclasses import replace

    return replace(plan, faults=faults, **more)  # type: ignore[arg-type]  # numbers alone


async def soaked(plan: Plan, folder: Path) -> tuple[SoakReport, list[Progress]]:
    await asyncio.to_thread(folder.mkdir)
    told: list[Progress] = []
    return await soak(plan, folder, told.append), told


async def test_faults_of_sources_and_engine(plan: Plan, tmp_path: Path) -> None:
    names = ("server-killed", "network-cut", "connection-reset", "half-frames", "engine-raises")
    report, told = await soaked(with_faults(plan, *names), tmp_path / "soak")
    assert sorted(fault.name for fault in report.faults) == sorted(names)
    assert not report.interrupted
    # Every stream was judged again after each fault; how soon is the machine's affair.
    assert all(back is not None for fault in report.faults for back in fault.back.values())
    assert {name for fault in report.faults for name in fault.back} == {"soak-1", "soak-2"}
    assert report.engine.failures == {"torch": 1}
    assert report.engine.loads == {"torch loaded": 1}
    assert (report.verdicts.stale, report.alerts.lost) == (0, 0)
    assert report.verdicts.judged > 20
    assert report.verdicts.oldest is not None
    # The streams came up, faces turned green and real again, sources were lost.
    assert report.alerts.events >= 8
    assert report.alerts.received == report.alerts.sent >= report.alerts.events
    assert report.frames.on_air == pytest.approx(2 * RATE * report.seconds, abs=1)
    assert 0 < report.frames.judged <= report.frames.received
    assert {progress.phase for progress in told} >= {"starting", "soaking", "waiting for the last messages"}
    assert told[-1].faults == 5
    assert json.loads(report.model_dump_json())["bars"][1] == {
        "what": "no verdict from stale frames",
        "value": "0",
        "met": True,
    }


async def test_faults_of_disk_webhook_size_and_engines(plan: Plan, tmp_path: Path) -> None:
    names = ("resolution-change", "disk-full", "webhook-dead", "engine-dead")
    report, _ = await soaked(with_faults(plan, *names, seconds=26.0, every=5.0), tmp_path / "soak")
    assert sorted(fault.name for fault in report.faults) == sorted(names)
    backs = {fault.name: fault.back for fault in report.faults}
    assert backs["disk-full"] == backs["webhook-dead"] == {}
    assert len(backs["resolution-change"]) == 1
    assert len(backs["engine-dead"]) == 2
    assert all(back is not None for each in backs.values() for back in each.values())
    # What the dead webhook missed came later, and evidence that could not be written held up no alert.
    assert report.alerts.lost == 0
    assert report.engine.failures["torch"] >= 1


async def test_an_engine_that_hangs(plan: Plan, tmp_path: Path) -> None:
    report, _ = await soaked(with_faults(plan, "engine-hang", seconds=18.0, every=6.0), tmp_path / "soak")
    assert [fault.name for fault in report.faults] == ["engine-hang", "engine-hang"]
    assert all(len(fault.back) == 2 and None not in fault.back.values() for fault in report.faults)
    # It was given up and loaded again while it still hung, and what it said later was nobody's verdict.
    assert report.engine.failures["torch"] >= 2
    assert report.engine.loads["torch loaded"] >= 1
    assert report.verdicts.unknown >= 1
    assert (report.verdicts.stale, report.alerts.lost) == (0, 0)


async def test_cancelling_brings_the_report_so_far(plan: Plan, tmp_path: Path) -> None:
    told: list[Progress] = []
    task = asyncio.create_task(soak(with_faults(plan, "half-frames"), tmp_path, told.append))
    await until(lambda: any(progress.faults for progress in told), 120)
    task.cancel()
    report = await task
    assert report.interrupted
    assert len(report.faults) == 1
    assert report.seconds < 24
    assert report.good, report.bars


async def test_a_stream_that_never_comes_is_told(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(running, "_START", 1.0)
    url = f"rtsp://127.0.0.1:{refused_port()}/live"
    with pytest.raises(SourceTimeout, match="given-1"):
        await soaked(replace(plan, urls=(url,)), tmp_path / "soak")


def test_the_faults_are_all_tested_here() -> None:
    here = Path(__file__).read_text()
    assert all(f'"{name}"' in here for name in NAMES)


@pytest.mark.slow
async def test_the_clips_are_made_in_a_process_of_their_own(tmp_path: Path) -> None:
    from tests.soak.stage import made

    material = Material(10.0, 2.0, 4.0, ((320, 240), (240, 180)))
    await made(material, tmp_path)
    for path in material.clips(tmp_path):
        index = json.loads(path.with_suffix(".json").read_text())
        assert (index["length"], len(index["pictures"])) == (4.0, 40)
        assert index["pictures"][0][2]
        assert path.stat().st_size % 188 == 0
    assert material_of(Plan()).sizes == ((640, 360), (480, 270))
    assert json.loads(as_json(material))["rate"] == 10.0
