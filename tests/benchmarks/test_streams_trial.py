"""When streams count as sustained, and how their largest number is found."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.benchmarks.streams.tables import Floor, document, spent, summary, trials
from tests.benchmarks.streams.trial import Limits, Outcome, Search, outcome

LIMITS = Limits(rate=5.0, latency=0.5)


def answer(streams: list[list[tuple[float, float]]], began: float = 10.0, ended: float = 20.0) -> dict[str, Any]:
    """A contestant's answer: by stream (media seconds, monotonic seconds) of each verdict."""
    return {
        "about": "a test",
        "began": began,
        "ended": ended,
        "cpu": 4.0,
        "stages": {"decode": 1.0, "infer": 2.0},
        "streams": [{"verdicts": verdicts, "decoded": 250} for verdicts in streams],
    }


def steady(late: float, rate: float = 5.0) -> list[tuple[float, float]]:
    """The verdicts of half a minute of a stream that began at 0."""
    return [(n / rate, n / rate + late) for n in range(round(30 * rate))]


def judged(streams: list[list[tuple[float, float]]]) -> Outcome:
    return outcome(answer(streams), [0.0] * len(streams), LIMITS, 25.0, 2)


def test_what_is_fast_and_often_enough_is_held() -> None:
    one = judged([steady(0.2), steady(0.3)])
    assert one.held
    assert one.judged == (5.0, 5.0)
    assert one.p50 == pytest.approx(0.25, abs=0.06)
    assert one.p95 == pytest.approx(0.3)
    assert one.decoded == 1.0
    assert one.cpu == pytest.approx(4.0 / (10.0 * 2))
    # 100 verdicts within the window.
    assert one.cost == pytest.approx(40)
    assert one.stages == {"decode": pytest.approx(10), "infer": pytest.approx(20), "rest": pytest.approx(10)}


def test_one_stream_that_is_judged_too_rarely_is_enough_to_fail() -> None:
    one = judged([steady(0.2), steady(0.2, 4.0)])
    assert not one.held
    assert one.reason == "1 of 2 below 5 judged/s"


def test_a_verdict_may_be_cut_off_by_the_window_but_not_two() -> None:
    missing = [each for each in steady(0.2) if not 12.1 <= each[1] < 12.3]
    assert judged([missing]).held
    missing = [each for each in steady(0.2) if not 12.1 <= each[1] < 12.5]
    assert not judged([missing]).held


def test_late_verdicts_fail_by_their_95th_percentile() -> None:
    assert judged([steady(0.49)]).held
    assert judged([steady(0.51)]).reason == "p95 above 500 ms"
    some = [(media, at + (3.0 if n % 50 == 0 else 0.0)) for n, (media, at) in enumerate(steady(0.2))]
    assert judged([sorted(some, key=lambda each: each[1])]).held


def test_lateness_counts_from_the_capture_of_each_stream() -> None:
    shifted = [(media, at + 0.4) for media, at in steady(0.2)]
    assert not outcome(answer([shifted]), [0.0], LIMITS, 25.0, 1).held
    assert outcome(answer([shifted]), [0.4], LIMITS, 25.0, 1).held


def test_streams_that_nobody_judged_or_fetched() -> None:
    nothing = outcome(answer([[]], ended=10.0), [None], LIMITS, 25.0, 1)
    assert (nothing.held, nothing.p95, nothing.cost) == (False, None, None)
    assert (nothing.judged, dict(nothing.stages)) == ((0.0,), {})
    assert nothing.reason == "not all streams were judged"


@given(st.integers(0, 40), st.integers(1, 40), st.sets(st.integers(0, 60)))
def test_the_search_finds_the_largest_number_past_single_hiccups(fits: int, most: int, hiccups: set[int]) -> None:
    search, asked = Search(most), 0
    failed: set[int] = set()
    while (tried := search.next) is not None:
        assert 1 <= tried <= most
        # A hiccup never comes twice in a row at one number.
        hiccup = asked in hiccups and tried not in failed
        held = tried <= fits and not hiccup
        if not held:
            failed.add(tried)
        search.tell(held)
        asked += 1
    assert search.held == min(fits, most)
    assert asked <= 4 * most.bit_length() + 4


def test_a_search_that_is_over_takes_no_more() -> None:
    search = Search(1)
    search.tell(True)
    assert (search.next, search.held) == (None, 1)
    with pytest.raises(ValueError, match="over"):
        search.tell(True)


def test_tables_and_document_say_what_was_measured() -> None:
    best, worse = judged([steady(0.2)]), judged([steady(0.7)])
    floor = Floor(decode=5.0, infer=15.0)
    console = Console(width=150, file=io.StringIO())
    console.print(trials("title", {"streamguard": [best, worse]}))
    console.print(spent("streamguard", best, floor))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    for words in ("held", "p95 above 500 ms", "200", "700", "4.00x the floor", "decode", "rest"):
        assert words in text
    held = {"streamguard": 8, "naive": 2, "nobody": 0}
    said = summary(held, LIMITS, 2)
    assert "naive: 2  (4.0x as many by streamguard)" in said
    assert said.splitlines()[-1] == "  nobody: 0"
    found = {"streamguard": [best], "naive": [worse], "nobody": []}
    made = document(held, found, floor, LIMITS, 2)
    assert made["schema"] == "streamguard.bench-streams/1"
    assert [each["sustained"] for each in made["contestants"]] == [8, 2, 0]
    assert made["contestants"][1]["trials"][0]["reason"] == "p95 above 500 ms"
