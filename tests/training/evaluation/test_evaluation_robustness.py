"""Conditions: compared with the same clips unsent, drawn, and written down."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from evaluation_samples import random_evaluation

from streamguard.training.evaluation.pictures import AXES, DARK, LIGHT, errors_picture, on_axis, robustness_picture
from streamguard.training.evaluation.records import Evaluation
from streamguard.training.evaluation.report import json_report, render
from streamguard.training.evaluation.robustness import Condition, condition
from streamguard.training.evaluation.sheets import sheets
from streamguard.training.evaluation.summary import rows_of, summarise
from streamguard.training.sending import Sending, parse_sendings


@pytest.fixture(scope="module")
def base() -> Evaluation:
    whole = random_evaluation(12, 20)
    # Half of the clips are too small for 360 lines, and all are for 720.
    clips = tuple(replace(each, height=480 if n < 6 else 360) for n, each in enumerate(whole.clips))
    return replace(whole, clips=clips)


@pytest.fixture(scope="module")
def every(base: Evaluation) -> list[Condition]:
    sent = random_evaluation(12, 20, seed=1)
    which = {"360p": sent.clips[:6], "250k@360p": sent.clips[:6], "720p": ()}
    return [
        condition(Sending("as they are"), base, base, n_boot=50),
        *(
            condition(each, base, replace(sent, clips=which.get(each.name, sent.clips)), n_boot=50)
            for each in parse_sendings("1M,250k,360p,720p,250k@360p,q50")
        ),
    ]


def test_a_condition_is_compared_with_its_own_clips_unsent(base: Evaluation, every: list[Condition]) -> None:
    found = {each.sending.name: each for each in every}
    small = found["360p"]
    assert small.too_small == 6
    assert small.as_they_are == rows_of(base.clips[:6], programs=False, n_boot=50)
    assert small.reached == 800_000
    assert (found["720p"].too_small, found["720p"].rows, found["720p"].alarms) == (12, (), ())
    assert found["as they are"].rows == found["1M"].as_they_are == rows_of(base.clips, programs=False, n_boot=50)


def test_an_axis_shows_what_varies_alone_in_order(every: list[Condition]) -> None:
    found = {axis: [each.sending.name for each in on_axis(every, axis)] for axis in AXES}
    assert found == {"bit_rate": ["250k", "1M"], "height": ["360p"], "quality": ["q50"]}


def test_pictures_are_drawn_where_there_is_something_to_draw(every: list[Condition]) -> None:
    for axis in AXES:
        for theme in (LIGHT, DARK):
            png = robustness_picture(every, axis, theme)
            assert png is not None
            assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED).shape[2] == 4
    assert robustness_picture(every[:2], "quality", LIGHT) is None
    assert errors_picture((), LIGHT) is None


def test_the_report_and_the_json_hold_every_condition(base: Evaluation, every: list[Condition]) -> None:
    summary = summarise(base, n_boot=50)
    page = render(base, summary, every)
    assert len(re.findall(r"data:image/png;base64,", page)) == 14
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for words in ("12 too small", "800 kbit/s reached", "Unsent", "250k@360p: all sets", "q50, worst set: "):
        assert words in text
    assert "When the clips are compressed" not in render(base, summary)
    written = json.loads(json_report(base, summary, every))["summary"]["robustness"]
    assert [each["sending"]["name"] for each in written] == [each.sending.name for each in every]
    assert written[1]["rows"][-1]["by_frame"]["auc"]["value"] == every[1].rows[-1].by_frame.auc.value
    assert written[1]["delays"]["clips"] == 6


def test_all_sets_never_stand_alone(base: Evaluation, every: list[Condition]) -> None:
    names = {sheet.title: [row[0] for row in sheet.rows] for sheet in sheets(base, summarise(base, n_boot=20), every)}
    sent = [cell[0] for cell in names["When the clips are compressed or made smaller"] if isinstance(cell, tuple)]
    assert sent[4:8] == ["1M: everyday <b>clips</b>", "1M: face swap", "1M: talking head", "1M: all sets"]
    alarms = names["False alarms on real clips"]
    assert alarms[3:5] == ["all sets", "worst set: face swap"]
    assert sum(str(name).startswith("1M") for name in alarms) == 2
