"""The manifest: what is written is read back; what contradicts itself is refused and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamguard.errors import DataError, OutputError
from streamguard.training.manifest import COLUMNS, ManifestRow, Rectangle, read_manifest, write_manifest

REAL = ManifestRow("a.mp4", (0, 0, 320, 240), "real", "", None, "ann", "pairs", "recording", "train")
FAKE = ManifestRow(
    "a.mp4", (320, 0, 320, 240), "fake", "a.mp4", (0, 0, 320, 240), "ann", "pairs", "DeepFaceLive", "train"
)

words = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n/"), min_size=1, max_size=12)
rectangles = st.none() | st.tuples(*[st.integers(0, 5000)] * 2, *[st.integers(2, 5000)] * 2)


@st.composite
def fakes(draw: st.DrawFn) -> ManifestRow:
    file, partner = f"set/x{draw(words)}.png", f"set/x{draw(words)}.jpg"
    group, set_, program = draw(words), draw(words), draw(words)
    return ManifestRow(
        file, draw(rectangles), "fake", partner, draw(rectangles), group, set_, program, draw(st.just("train"))
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(fakes(), min_size=1, max_size=5, unique_by=lambda row: (row.file, row.rectangle)))
def test_round_trip(tmp_path: Path, rows: list[ManifestRow]) -> None:
    write_manifest(tmp_path / "m.tsv", rows)
    assert read_manifest(tmp_path / "m.tsv") == tuple(rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(text=st.text("0123456789,-. x", max_size=14))
def test_a_rectangle_is_read_as_it_stands_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("\t".join(COLUMNS) + f"\na.png\t{text}\treal\t\t\tg\ts\tp\ttrain\n")
    try:
        x, y, width, height = expected = tuple(int(part) for part in text.split(","))
        fits = min(x, y) >= 0 and min(width, height) >= 2
    except ValueError:
        expected, fits = (), False
    if text and not fits:
        with pytest.raises(DataError, match="line 2"):
            read_manifest(path)
    else:
        wanted: Rectangle | None = (expected[0], expected[1], expected[2], expected[3]) if text else None
        assert read_manifest(path)[0].rectangle == wanted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "unknown"}, "line 2: the label `unknown`"),
        ({"split": "test"}, "line 2: the split `test`"),
        ({"file": "a.txt"}, "line 2: `a.txt` is neither"),
        ({"group": ""}, "line 2: the column `group` is empty"),
        ({"partner": "b.png"}, "line 2: a real recording has a partner"),
        ({"rectangle": "1,2,3"}, "line 2: `1,2,3` is no rectangle"),
        ({"rectangle": "-1,2,30,40"}, "empty or outside"),
        ({"split": "train\tmore"}, "line 2: more values than columns"),
        ({"split": None}, "line 2: the split ``"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    values = dict(zip(COLUMNS, ("a.png", "", "real", "", "", "g", "s", "p", "train"), strict=True)) | changes
    line = "\t".join(value for value in values.values() if value is not None)
    (tmp_path / "m.tsv").write_text("\t".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(DataError) as told:
        read_manifest(tmp_path / "m.tsv")
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no row"),
        ([REAL, replace(REAL, program="again")], "listed twice: a.mp4"),
        ([REAL, replace(REAL, file="b.mp4", split="validation")], "in training and in validation: ann"),
        (
            [REAL, replace(FAKE, file="b.mp4", group="bob", split="validation")],
            "in training and in validation: a.mp4",
        ),
    ],
)
def test_rows_that_contradict_one_another(tmp_path: Path, rows: list[ManifestRow], words: str) -> None:
    with pytest.raises(DataError, match=words):
        write_manifest(tmp_path / "m.tsv", rows)
    assert not (tmp_path / "m.tsv").exists()


def test_many_groups_on_both_sides_are_told_shortly(tmp_path: Path) -> None:
    rows = [
        replace(REAL, file=f"{split}{n}.mp4", group=f"g{n}", split=split)
        for n in range(9)
        for split in ("train", "validation")
    ]
    with pytest.raises(DataError, match=r"g0, g1, g2, g3, g4 and 4 more"):
        write_manifest(tmp_path / "m.tsv", rows)


@pytest.mark.parametrize("name", ["a\tb.png", "a\nb.png", "a\udcff.png"])
def test_a_name_that_no_table_can_hold(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="Rename the file"):
        write_manifest(tmp_path / "m.tsv", [replace(REAL, file=name)])


def missing_column(path: Path) -> None:
    path.write_text("file\tlabel\na.png\treal\n")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no readable manifest"),
        (lambda path: path.mkdir(), "no readable manifest"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "no readable manifest"),
        (lambda path: path.write_text(""), "columns are missing"),
        (missing_column, "columns are missing: group, partner"),
        (lambda path: path.write_text("\t".join(COLUMNS) + "\n"), "no row"),
    ],
)
def test_no_manifest(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    make(tmp_path / "m.tsv")
    with pytest.raises(DataError, match=words):
        read_manifest(tmp_path / "m.tsv")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_manifest(tmp_path / "none" / "m.tsv", [REAL])


def test_clips_are_told_from_pictures() -> None:
    assert REAL.is_clip
    assert not replace(REAL, file="a.JPG").is_clip
