"""The recipe: stages one after the other, and a key that is wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError
from streamguard.training.recipe import Recipe, read_recipe
from streamguard.training.trainer import learning_rate
from tests.support.training_data import RECIPE, ROOT, micro_recipe, recipe_text, write_recipe

rates = st.floats(1e-6, 1e-1)
stages = st.lists(
    st.fixed_dictionaries(
        {
            "steps": st.integers(1, 40),
            "patch": st.sampled_from([64, 96, 128]),
            "pairs": st.integers(1, 4),
            "rate": st.tuples(rates, rates),
        }
    ),
    min_size=1,
    max_size=4,
)


def recipe_of(stages: list[dict[str, object]], warmup: int = 0) -> Recipe:
    return Recipe.model_validate({**RECIPE, "stages": stages, "warmup_steps": warmup})


@given(stages=stages)
def test_each_step_belongs_to_the_stage_it_falls_in(stages: list[dict[str, object]]) -> None:
    recipe = recipe_of(stages)
    plain = [(stage, step, stage.steps) for stage in recipe.stages for step in range(stage.steps)]
    assert recipe.steps == len(plain)
    for step, (stage, within, steps) in enumerate(plain):
        found, far = recipe.stage(step)
        assert found is stage or found == stage
        assert far == pytest.approx(within / (steps - 1) if steps > 1 else 0)
    # Beyond the end, as when a longer run is resumed by a shorter recipe.
    assert recipe.stage(len(plain) + 5) == (recipe.stages[-1], 1.0)


@given(stages=stages, warmup=st.integers(0, 60))
def test_the_rate_moves_along_half_a_cosine(stages: list[dict[str, object]], warmup: int) -> None:
    recipe = recipe_of(stages, warmup)
    step = 0
    for stage in recipe.stages:
        first, last = stage.rate
        for within in range(stage.steps):
            far = within / (stage.steps - 1) if stage.steps > 1 else 0.0
            expected = (first + last) / 2 + (first - last) / 2 * math.cos(math.pi * far)
            warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
            assert learning_rate(recipe, step) == pytest.approx(expected * warm)
            step += 1


def test_the_rate_reaches_its_ends_and_never_turns_round() -> None:
    recipe = recipe_of([{"steps": 50, "patch": 64, "pairs": 1, "rate": (1e-2, 1e-4)}])
    found = [learning_rate(recipe, step) for step in range(50)]
    assert (found[0], found[-1]) == pytest.approx((1e-2, 1e-4))
    assert found == sorted(found, reverse=True)


def test_what_is_learned_from() -> None:
    assert Recipe.model_validate(RECIPE).sets == ("loose", "real", "swaps")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rat": 0.1}, "unknown key `learning_rat`"),
        ({"name": "../micro"}, "`name`"),
        ({"network": None}, "`network`"),
        ({"average": 1.0}, "`average`"),
        ({"sources": []}, "`sources`"),
        ({"stages": []}, "`stages`"),
        ({"stages": [{"steps": 0, "patch": 64, "pairs": 1, "rate": [1, 1]}]}, "`stages.0.steps`"),
        ({"stages": [{"steps": 1, "patch": 65, "pairs": 1, "rate": [1, 1]}]}, "`stages.0.patch`"),
        ({"stages": [{"steps": 1, "patch": 288, "pairs": 1, "rate": [1, 1]}]}, "`stages.0.patch`"),
        ({"stages": [{"steps": 1, "patch": 64, "pairs": 1, "rate": [1, 0]}]}, "`stages.0.rate.1`"),
        ({"sources": [{"kind": "registered", "share": 1}]}, "needs `fakes`"),
        ({"sources": [{"kind": "selfblend", "share": 1, "fakes": ["a"]}]}, "needs `reals`"),
        ({"sources": [{"kind": "registered", "share": 0, "fakes": ["a"]}]}, "`sources.0.share`"),
        ({"sources": [{"kind": "loose", "share": 1, "fakes": ["a"], "zoom": [2, 1]}]}, "the smallest scale"),
        ({"view": {"zoom": [2, 1]}}, "the smallest scale"),
        ({"view": {"blur": 1.5}}, "`view.blur`"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        micro_recipe(tmp_path, **changes)
    assert told.value.thing.endswith("micro.toml")


@pytest.mark.parametrize("text", ["stages = [", "\x00"])
def test_what_is_no_toml(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_recipe(write_recipe(tmp_path, text))
    (tmp_path / "micro.toml").write_bytes(recipe_text().encode() + b"# \xff")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_recipe(tmp_path / "micro.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(tmp_path)


def test_the_shipped_recipes_can_be_read() -> None:
    for path in (*(ROOT / "engines").glob("unet_lite0*/train.toml"), ROOT / "engines" / "article.toml"):
        assert read_recipe(path).steps > 1000
