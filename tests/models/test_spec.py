"""spec.toml, read strictly and written back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError, UnknownModel
from streamguard.models import ModelSpec, format_spec, networks, parse_spec, read_spec

SPEC = replace(networks.fresh("unet_v1").spec, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), margin=1.4)
unit = st.floats(0, 1)
numbers = st.floats(-10, 10)
triples = st.tuples(numbers, numbers, numbers)
specs = st.builds(
    ModelSpec,
    name=st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    architecture=st.just("unet"),
    features=st.integers(1, 256),
    steps=st.integers(2, 8),
    picture_norms=st.integers(0, 8),
    working_side=st.just(0),
    members=st.integers(1, 8),
    size=st.sampled_from([128, 256, 1024]),
    margin=st.floats(1, 3),
    mean=triples,
    std=st.tuples(*[st.floats(0.01, 10)] * 3),
    threshold=st.floats(0.5, 1),
    unsure_threshold=st.none() | st.floats(0, 0.5),
    smallest_component=st.integers(0, 9999),
    calibration_slope=st.floats(0.001, 100),
    calibration_offset=numbers,
    smallest_face=st.floats(0, 500),
    least_sharpness=st.floats(0, 50),
    least_inside=unit,
    weights_sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)


@given(specs)
def test_what_is_written_is_read(spec: ModelSpec) -> None:
    text = format_spec(spec)
    read = parse_spec(text.encode(), thing="spec")
    assert replace(read, digest="") == spec
    assert len(read.digest) == 12
    assert format_spec(read) == text


def changed(old: str, new: str) -> bytes:
    """The default spec with a line changed."""
    text = format_spec(SPEC)
    assert old in text
    return text.replace(old, new).encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("[rule]", "[rule]\nthresold = 0.3"), "unknown key `rule.thresold`"),
        (format_spec(SPEC).encode() + b"\n[rules]\nx = 1\n", "unknown key `rules`"),
        (changed("threshold = 0.5", "threshold = 1.5"), "`rule.threshold`: .*less than or equal to 1"),
        (changed("threshold = 0.5", 'threshold = "high"'), "`rule.threshold`: .*number"),
        (changed("threshold = 0.5\n", ""), "`rule.threshold`: .*required"),
        (changed("[rule]", "[rule]\nunsure_threshold = -0.1"), "`rule.unsure_threshold`: .*greater than or equal to 0"),
        (changed("[rule]", "[rule]\nunsure_threshold = 0.6"), "`rule.unsure_threshold`: 0.6 exceeds .* 0.5"),
        (changed('architecture = "unet"', 'architecture = "resnet"'), "`network.architecture`"),
        (changed("steps = 6", "steps = 0"), "`network.steps`"),
        (changed("margin = 1.4", "margin = nan"), "`input.margin`"),
        (changed("size = 256", "size = 250"), "multiple of 32"),
        (changed("std = [0.25,", "std = [0.0,"), "`input.std"),
        (changed('file = "weights.safetensors"', 'file = "../other"'), "`weights.file`"),
        (changed('name = "unet_v1"', 'name = "../unet"'), "`name`"),
        (b"name = ", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"", "`name`: .*required"),
    ],
)
def test_a_wrong_spec_is_refused_by_its_key(text: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_spec(text, thing="engines/x/spec.toml")
    assert str(caught.value).startswith("engines/x/spec.toml: ")
    assert "\n" not in str(caught.value)


def test_a_band_is_written_where_there_is_one() -> None:
    assert "unsure_threshold" not in format_spec(SPEC)
    for unsure in (0.0, 0.25, 0.5):
        text = format_spec(replace(SPEC, unsure_threshold=unsure))
        assert parse_spec(text.encode(), thing="spec").unsure_threshold == unsure


def test_no_spec_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="doctor"):
        read_spec(tmp_path)
