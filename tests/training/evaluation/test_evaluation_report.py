"""Reports: whole, self-contained, escaped, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_samples import CREATED, clip, evaluation, frame, random_evaluation
from rich.console import Console

from streamguard.errors import OutputError
from streamguard.training.evaluation.page import sparkline
from streamguard.training.evaluation.pictures import GRID, roc_band
from streamguard.training.evaluation.records import ClipRecord, Evaluation, read_json
from streamguard.training.evaluation.report import render, write_html, write_json
from streamguard.training.evaluation.summary import frame_scores, summarise
from streamguard.training.evaluation.table import group_table, headline_table, unjudged_table

EVIL = '<script>alert("1")</script>&\''


class Tags(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    VOID = frozenset({"meta", "br", "img", "source", "line", "rect", "path"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def data() -> Evaluation:
    return random_evaluation(12, 20)


def test_the_page_loads_nothing_and_runs_nothing(data: Evaluation) -> None:
    page = render(data, summarise(data, n_boot=50))
    tags = parse(page)
    names = {tag for tag, _ in tags.seen}
    assert not names & {"script", "link", "iframe", "object", "form", "a"}
    for _, attributes in tags.seen:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "default-src 'none'" in page
    assert not re.search(r"https?://|url\(|@import", page)


def test_the_page_says_what_matters(data: Evaluation) -> None:
    summary = summarise(data, n_boot=50)
    text = parse(render(data, summary)).text
    assert "Automated estimate that may be wrong" in text
    assert f"{summary.frames.auc.value:.3f}" in text
    assert f"{summary.frames.auc.low:.3f} to {summary.frames.auc.high:.3f}" in text
    for words in ("blur", "picture size", "Fixed ellipse", "always the majority", "too small", "Made-up scores"):
        assert words in text
    assert all(each.name in text for each in data.clips)


def test_pictures_are_whole_pngs_for_light_and_dark(data: Evaluation) -> None:
    page = render(data, summarise(data, n_boot=50))
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 6
    for each in pictures:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape[2] == 4
    assert page.count("prefers-color-scheme: dark") >= 4


def test_names_from_outside_are_escaped() -> None:
    rows = [frame(0, baselines={EVIL: 1.0}), frame(1, score=None, reason=EVIL)]
    each = ClipRecord(EVIL, EVIL, True, tuple(rows), 64, 48, EVIL)
    other = clip("real", [frame(0, label=False, score=0.1)], label=False)
    page = render(
        whole := Evaluation(EVIL, EVIL, 0.5, (each, other), CREATED, (EVIL,)), summary := summarise(whole, n_boot=20)
    )
    tags = parse(page)
    assert "script" not in {tag for tag, _ in tags.seen}
    assert tags.text.count(EVIL) >= 7
    assert len(page) > 1000
    assert summary.counts.clips == 2


@pytest.mark.parametrize("clips", [[], [clip("a", [frame(0, score=None)])], [clip("a", [frame(0)])]])
def test_a_page_without_figures_gives_reasons(clips: list[ClipRecord]) -> None:
    whole = evaluation(clips)
    text = parse(render(whole, summarise(whole, n_boot=20))).text
    assert "nothing" in text
    assert "nan" not in text.lower().split()


def test_json_is_read_back_and_carries_the_figures(data: Evaluation, tmp_path: Path) -> None:
    summary = summarise(data, n_boot=50)
    write_json(data, summary, tmp_path / "e.json")
    assert read_json(tmp_path / "e.json") == data
    written = json.loads((tmp_path / "e.json").read_text())["summary"]
    assert written["frames"]["auc"]["value"] == summary.frames.auc.value
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


def test_a_failed_write_leaves_the_old_report(
    data: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_html(data, summarise(data, n_boot=10), path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


def test_a_missing_folder_is_an_output_error(data: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"):
        write_json(data, summarise(data, n_boot=10), tmp_path / "none" / "e.json")


def test_sparkline_shows_gaps_and_lone_points() -> None:
    scores = [0.1, 0.9, None, 0.5, None, 0.2, 0.3]
    path = re.search(r'd="([^"]*)"', sparkline([frame(i, score=s) for i, s in enumerate(scores)]))
    assert path is not None
    assert path[1].count("M") == 3
    assert path[1].count("L") == 2
    assert sparkline([]) == ""
    assert "<path" in sparkline([frame(0)])


def test_long_clips_are_thinned() -> None:
    assert len(sparkline([frame(i, score=i % 7 / 7) for i in range(20_000)])) < 4000


def test_roc_band_holds_the_diagonal_of_a_blind_detector() -> None:
    rng = np.random.default_rng(0)
    clips = [
        clip(f"c{n}", [frame(i, label=n % 2 == 0, score=float(rng.random())) for i in range(30)], label=n % 2 == 0)
        for n in range(12)
    ]
    band = roc_band([frame_scores(each) for each in clips], [each.label for each in clips])
    assert band is not None
    low, high = band
    assert (low <= high).all()
    assert ((low - 0.1 <= GRID) & (high + 0.1 >= GRID)).mean() > 0.9
    assert roc_band([frame_scores(clips[0])], [True]) is None


def test_tables_show_figures_and_take_no_markup_from_names() -> None:
    rows = [frame(0, baselines={"[red]x": 1.0}), frame(1, score=None, reason="[bold]odd")]
    clips = [
        clip("a", rows, group="[link=x]g"),
        clip("b", [frame(0, label=False, score=0.2)], label=False, group="home"),
    ]
    whole = evaluation(clips)
    summary = summarise(whole, n_boot=20)
    console = Console(width=140, file=io.StringIO(), record=True)
    for table in (headline_table(whole, summary), group_table(summary), unjudged_table(summary)):
        console.print(table)
    text = " ".join(console.export_text().split())
    for words in ("AUC", "1.000", "[red]x", "[bold]odd", "[link=x]g", "(1.000)", "may be wrong"):
        assert words in text
