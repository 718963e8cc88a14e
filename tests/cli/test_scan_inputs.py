"""Which files a folder stands for, and what a spreadsheet is told."""

from __future__ import annotations

import csv
from pathlib import Path

from streamguard.cli.scan_inputs import inputs
from streamguard.cli.scan_tables import COLUMNS, csv_text
from streamguard.errors import EmptyMedia
from streamguard.pipeline.scan_documents import ScanFaultDocument, ScanFileDocument
from streamguard.types import Reason, Verdict
from streamguard.verdict import Finding


def test_a_folder_stands_for_what_is_below_it(tmp_path: Path) -> None:
    for name in ("b.MP4", "a.jpg", "sub/c.webm", "sub/deep/d.png", ".hidden/e.mp4", "sub/.f.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    found = inputs([str(tmp_path), str(tmp_path / "a.jpg"), "https://host/x.mp4", "none.mp4"], recursive=True)
    names = [path.removeprefix(f"{tmp_path}/") for path in found.paths]
    # Each once, files as they were named.
    assert names == ["a.jpg", "b.MP4", "sub/c.webm", "sub/deep/d.png", "https://host/x.mp4", "none.mp4"]
    assert found.faults == ()


def test_a_folder_without_anything(tmp_path: Path) -> None:
    # Whoever opens it will say that it is a folder.
    assert inputs([str(tmp_path)], recursive=False).paths == (str(tmp_path),)
    (fault,) = inputs([str(tmp_path)], recursive=True).faults
    assert isinstance(fault, EmptyMedia)


def test_a_name_is_no_formula() -> None:
    document = ScanFileDocument(
        path="=HYPERLINK(1).mp4",
        finding=Finding.FAKE_IN_PART,
        verdict=Verdict.REAL,
        contains_fake=True,
        share=1 / 3,
        score=0.2,
        frames=3,
        judged=3,
        fake=1,
        unjudged={Reason.TOO_SMALL: 2, Reason.CUT_OFF: 1},
        duration=1.0,
        width=4,
        height=4,
        fake_intervals=[(0.0, 0.5), (0.75, 1.0)],
        tracks=[],
        fault=ScanFaultDocument(kind="CorruptMedia", message='breaks off, "here"'),
    )
    text = csv_text([document])
    assert "REAL" not in text
    head, row = csv.reader(text.splitlines())
    assert tuple(head) == COLUMNS
    told = dict(zip(head, row, strict=True))
    assert told["path"] == "'=HYPERLINK(1).mp4"
    assert (told["share"], told["finding"]) == ("0.3333", "FAKE_IN_PART")
    assert told["fake_intervals"] == "0.00-0.50; 0.75-1.00"
    assert told["unjudged"] == "too small: 2; cut off: 1"
    assert told["fault"] == 'breaks off, "here"'
