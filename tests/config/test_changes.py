"""The difference between two configurations is a value that makes the one of the other."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streamguard.config import Changes, Config, apply, diff

NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
tokens = st.builds(
    lambda number, scopes: {"token": f"0123456789abcdef{number}", "scopes": sorted(scopes)},
    st.integers(0, 3),
    st.sets(st.sampled_from(["publish", "view", "admin"]), min_size=1),
)
servers = st.fixed_dictionaries(
    {
        "listen": st.sampled_from(["127.0.0.1:1", "[::1]:2"]),
        "tokens": st.lists(tokens, max_size=2, unique_by=itemgetter("token")),
    },
    optional={
        "max_streams": st.integers(5, 9),
        "tls": st.just({"certificate": "a.pem", "key": "b.pem"}),
        "sinks": st.lists(st.text(max_size=3), max_size=2),
    },
)
samplings = st.fixed_dictionaries(
    {}, optional={"judged_per_second": st.floats(1, 9), "detect_every": st.integers(1, 9)}
)


def entries(fields: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Lists of entries with names of their own, in any order."""
    return st.dictionaries(NAMES, fields).flatmap(
        lambda made: st.permutations([{"name": name, **values} for name, values in made.items()])
    )


rules = st.fixed_dictionaries(
    {"url": st.sampled_from(["https://a/", "https://b/"]), "secret": st.just(SECRET)},
    optional={"least_score": st.floats(0, 1), "streams": st.lists(NAMES, min_size=1, max_size=2)},
)
streams = st.fixed_dictionaries(
    {"source": st.sampled_from(["x.mp4", "rtsp://u:p@h/x", "camera:0"])},
    optional={
        "sampling": samplings,
        "priority": st.integers(1, 3),
        "loop": st.booleans(),
        "outputs": st.just(["rtsp://127.0.0.1:9/{}"]),
    },
)


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Any configuration; streams name rules that are there."""
    made_rules, made = draw(entries(rules)), draw(entries(streams))
    for stream in made:
        # No two lead to the same place.
        stream["outputs"] = [output.format(stream["name"]) for output in stream.get("outputs", [])]
        stream["rules"] = (
            draw(st.lists(st.sampled_from([r["name"] for r in made_rules]), max_size=2)) if made_rules else []
        )
    values = {
        "server": draw(servers),
        "engine": draw(st.fixed_dictionaries({}, optional={"threads": st.integers(1, 4), "model": NAMES})),
        "alerts": draw(st.fixed_dictionaries({}, optional={"keep_days": st.floats(1, 9)})),
        "evidence": draw(st.fixed_dictionaries({}, optional={"enabled": st.booleans()})),
        "streams": made,
        "rules": made_rules,
    }
    return Config.model_validate(values)


@given(configs(), configs())
def test_the_difference_makes_the_one_of_the_other(before: Config, after: Config) -> None:
    assert apply(diff(before, after), before) == after


@given(configs())
def test_nothing_differs_from_itself(config: Config) -> None:
    assert diff(config, config) == Changes()
    assert not diff(config, config)
    assert not diff(config, Config.model_validate(config.model_dump()))


@given(configs(), configs())
def test_it_names_what_differs_and_nothing_else(before: Config, after: Config) -> None:
    found = diff(before, after)
    assert bool(found) == (before != after)
    old, new = ({stream.name: stream for stream in each.streams} for each in (before, after))
    assert {stream.name for stream in found.streams.added} == new.keys() - old.keys()
    assert set(found.streams.removed) == old.keys() - new.keys()
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    assert {stream.name for stream in found.streams.changed} == changed
    assert ("server.tokens" in found.keys) == (before.server.tokens != after.server.tokens)


@given(configs(), configs())
def test_there_and_back_is_where_it_began(before: Config, after: Config) -> None:
    assert apply(diff(after, before), apply(diff(before, after), before)) == before
