"""Conditions: compared with the same clips unsent, drawn, and written down."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_samples import clip, evaluation, random_evaluation
from rich.console import Console

from streamguard.training.evaluation.curves import errors_picture, on_axis, robustness_picture
from streamguard.training.evaluation.pictures import DARK, LIGHT
from streamguard.training.evaluation.records import Evaluation, read_json
from streamguard.training.evaluation.report import render, write_json
from streamguard.training.evaluation.robustness import Condition, condition, sent_figures
from streamguard.training.evaluation.summary import summarise
from streamguard.training.evaluation.table import alerts_table, robustness_tables


@pytest.fixture(scope="module")
def base() -> Evaluation:
    whole = random_evaluation(12, 20)
    # Half of the clips are too small for 360 lines, and all are for 720.
    clips = tuple(replace(each, height=480 if n < 6 else 360) for n, each in enumerate(whole.clips))
    return replace(whole, clips=clips)


def conditions(base: Evaluation) -> list[Condition]:
    sent = random_evaluation(12, 20, seed=1)
    fewer = replace(sent, clips=sent.clips[:6])
    none = replace(sent, clips=())
    asked = {
        "1M": (None, 1_000_000, None),
        "250k": (None, 250_000, None),
        "360p": (360, None, None),
        "720p": (720, None, None),
        "250k@360p": (360, 250_000, None),
        "q50": (None, None, 50),
    }
    which = {"360p": fewer, "250k@360p": fewer, "720p": none}
    return [condition(name, how, base, which.get(name, sent), n_boot=50) for name, how in asked.items()]


def test_a_condition_is_compared_with_its_own_clips_unsent(base: Evaluation) -> None:
    found = {each.name: each for each in conditions(base)}
    small = found["360p"]
    assert (small.height, small.bit_rate, small.quality, small.too_small) == (360, None, None, 6)
    assert small.as_they_are == sent_figures(base.clips[:6], n_boot=50)
    assert small.as_they_are.auc.value != found["1M"].as_they_are.auc.value
    assert small.reached == 800_000
    assert found["720p"].too_small == 12
    assert found["720p"].sent.auc.value is None


def test_recall_and_false_positives_are_those_of_the_frame_rule(base: Evaluation) -> None:
    figures, summary = sent_figures(base.clips, n_boot=50), summarise(base, n_boot=50)
    assert figures.recall.value == pytest.approx(summary.frames.recall.value)
    assert figures.auc == summary.frames.auc
    quiet = [(f.fake, f.label) for c in base.clips for f in c.frames if f.judged and not f.label]
    assert figures.false_positives.value == pytest.approx(np.mean([fake for fake, _ in quiet]))
    assert figures.judged < figures.frames
    empty = sent_figures([])
    assert (empty.recall.value, empty.false_positives.value, empty.auc.value) == (None, None, None)


def test_an_axis_shows_what_varies_alone_in_order(base: Evaluation) -> None:
    every = conditions(base)
    assert [each.name for each in on_axis(every, "bit_rate")] == ["250k", "1M"]
    assert [each.name for each in on_axis(every, "height")] == ["360p"]
    assert [each.name for each in on_axis(every, "quality")] == ["q50"]


def test_pictures_are_drawn_where_there_is_something_to_draw(base: Evaluation) -> None:
    every, figures = conditions(base), sent_figures(base.clips, n_boot=20)
    for axis in ("bit_rate", "height", "quality"):
        for theme in (LIGHT, DARK):
            png = robustness_picture(every, figures, axis, theme)  # type: ignore[arg-type]
            assert png is not None
            assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED).shape[2] == 4
    assert robustness_picture(every[:2], figures, "quality", LIGHT) is None
    assert errors_picture((), "px", LIGHT) is None


def test_the_report_and_the_json_hold_every_condition(base: Evaluation, tmp_path: Path) -> None:
    every, summary = conditions(base), summarise(base, n_boot=50)
    page = render(base, summary, every)
    assert len(re.findall(r"data:image/png;base64,", page)) == 12
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for words in (
        "360p: 6, 720p: 12, 250k@360p: 6)",
        "800 kbit/s reached",
        "These clips unsent",
        "Per hour",
        "Never alerted",
    ):
        assert words in text
    assert "When the clips are compressed" not in render(base, summary)
    write_json(base, summary, tmp_path / "e.json", every)
    assert read_json(tmp_path / "e.json") == base
    written = json.loads((tmp_path / "e.json").read_text())["summary"]["robustness"]
    assert [each["name"] for each in written] == [each.name for each in every]
    assert written[0]["sent"]["auc"]["value"] == every[0].sent.auc.value
    assert written[0]["sent"]["alerts"]["fake_clips"] == 6


def test_tables_tell_the_same() -> None:
    whole = evaluation([clip("[red]a", [], group="[b]g")])
    console = Console(width=160, file=io.StringIO(), record=True)
    base = random_evaluation(12, 20)
    console.print(alerts_table(summarise(whole, n_boot=10)))
    for table in robustness_tables(conditions(base), sent_figures(base.clips, n_boot=20)):
        console.print(table)
    text = console.export_text()
    for words in ("as they are", "250k@360p", "[b]g", "0.000 h", "0/1"):
        assert words in text
