"""Reports: whole, self-contained, escaped, and honest about what is missing."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_samples import CREATED, clip, evaluation, frame, random_evaluation, still
from rich.console import Console

from streamguard.cli.evaluate import sheet_table
from streamguard.errors import OutputError
from streamguard.training.evaluation.records import SCHEMA, ClipRecord, Evaluation
from streamguard.training.evaluation.report import POINTS, json_report, render, score_runs, write_html
from streamguard.training.evaluation.sheets import sheets
from streamguard.training.evaluation.summary import summarise
from streamguard.training.evaluation.wording import interval

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
    return replace(random_evaluation(12, 20), left_out={"no such file": 2})


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
    for row in summary.rows:
        figure = row.by_frame.auc
        assert row.name in text
        assert f"{figure.value:.3f}" in text
        assert interval(figure) in text
    for words in (
        "blur",
        "picture size",
        "Fixed ellipse",
        "Made-up scores",
        "frames: too small",
        "left out: no such file",
    ):
        assert words in text
    assert all(each.name in text for each in data.clips)


def test_pictures_are_whole_pngs_for_light_and_dark(data: Evaluation) -> None:
    page = render(data, summarise(data, n_boot=50))
    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    assert len(pictures) == 8
    for each in pictures:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture is not None
        assert picture.shape[2] == 4
    assert page.count("prefers-color-scheme: dark") >= 4


def test_names_from_outside_are_escaped() -> None:
    rows = [frame(0, looks={"blur": 1.0}), frame(1, score=None, reason=EVIL)]
    each = clip(EVIL, rows, set=EVIL, program=EVIL, codec=EVIL)
    other = clip("real", [frame(0, score=0.1)], label=False)
    whole = Evaluation(EVIL, EVIL, 0.5, (each, other), CREATED, 0, {EVIL: 1}, (EVIL,))
    page = render(whole, summarise(whole, n_boot=20))
    tags = parse(page)
    assert "script" not in {tag for tag, _ in tags.seen}
    assert tags.text.count(EVIL) >= 7


@pytest.mark.parametrize("clips", [[], [clip("a", [frame(0, score=None)])], [clip("a", [frame(0)])]])
def test_a_page_without_figures_gives_reasons(clips: list[ClipRecord]) -> None:
    whole = evaluation(clips)
    page = render(whole, summarise(whole, n_boot=20))
    assert "nan" not in parse(page).text.lower().split()
    assert not clips or "nothing real" in page


def test_pictures_are_counted_and_not_listed() -> None:
    whole = evaluation([still("a.png", 0.9), still("b.png", 0.1, label=False)], whole=1)
    text = parse(render(whole, summarise(whole, n_boot=20))).text
    assert "2 (1 fake)" in text
    assert "Clip by clip" not in text
    assert "judged by their whole square1" in text


def test_json_carries_figures_and_frames(data: Evaluation) -> None:
    summary = summarise(data, n_boot=50)
    written = json.loads(json_report(data, summary))
    assert written["schema"] == SCHEMA
    figures, plain = written["summary"], written["evaluation"]
    assert figures["rows"][-1]["by_frame"]["auc"]["value"] == summary.rows[-1].by_frame.auc.value
    assert figures["errors"]["shorter_side"][0]["fakes"] > 0
    assert sum(each["frames"] for each in figures["reliability"]["bins"]) == summary.rows[-1].judged
    assert plain["clips"][1]["frames"][3]["score"] == data.clips[1].frames[3].score
    assert plain["left_out"] == {"no such file": 2}


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
        write_html(data, summarise(data, n_boot=10), tmp_path / "none" / "e.html")


def test_scores_over_time_show_gaps_and_lone_points() -> None:
    scores = [0.1, 0.9, None, 0.5, None, 0.2, 0.3]
    frames = [frame(i, score=s) for i, s in enumerate(scores)]
    assert [[score for _, score in run] for run in score_runs(frames)] == [[0.1, 0.9], [0.5], [0.2, 0.3]]
    assert [place for run in score_runs(frames) for place, _ in run] == pytest.approx([0, 1 / 6, 0.5, 5 / 6, 1])
    whole = evaluation([clip("a", frames), clip("none", [])])
    (path,) = re.findall(r'<path d="([^"]*)"', render(whole, summarise(whole, n_boot=20)))
    assert (path.count("M"), path.count("L"), path.count("h0")) == (3, 2, 3)
    assert score_runs([]) == []


def test_long_clips_are_thinned() -> None:
    (run,) = score_runs([frame(i, score=i % 7 / 7) for i in range(20_001)])
    assert len(run) <= POINTS
    assert sum(score for _, score in run) / len(run) == pytest.approx(3 / 7, abs=0.01)


def test_tables_show_figures_and_take_no_markup_from_names() -> None:
    rows = [frame(0, looks={"blur": 1.0}), frame(1, score=None, reason="[bold]odd")]
    clips = [clip("a", rows, set="[link=x]g"), clip("b", [frame(0, score=0.2)], label=False, set="home")]
    whole = evaluation([*clips, clip("c", [frame(0, score=0.3)], label=False, set="home")])
    console = Console(width=140, file=io.StringIO(), record=True)
    for sheet in sheets(whole, summarise(whole, n_boot=20)):
        console.print(sheet_table(sheet))
    text = " ".join(console.export_text().split())
    for words in ("AUC", "1.000", "0.00\N{EN DASH}0.00", "[bold]odd", "[link=x]g *", "worst set: home", "all sets"):
        assert words in text
