"""What a choice stands for."""

from __future__ import annotations

import math

import pytest

from streamguard.errors import ConfigError
from streamguard.training.recipe import IMAGENET, Recipe
from streamguard.training.search import DIMENSIONS, Space
from streamguard.training.search.space import CHANCE, lengthened
from tests.support.training_data import RECIPE

SHARES = ["share_1", "share_2", "share_3"]


def changed(recipe: Recipe, **changes: object) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(), **changes})


def test_a_choice_changes_what_it_names_and_nothing_else(recipe: Recipe) -> None:
    space = Space(recipe)
    assert space.recipe_of({}) == recipe
    made = space.recipe_of({"picture_loss": 3.5, "weight_decay": 0.2, "dice": 0.7, "blur": 0.1, "degrade": 0.9})
    assert (made.picture_loss, made.weight_decay, made.dice) == (3.5, 0.2, 0.7)
    assert (made.view.blur, made.view.degrade, made.view.zoom) == (0.1, 0.9, recipe.view.zoom)
    undone = {name: getattr(recipe, name) for name in ("picture_loss", "weight_decay", "dice", "view")}
    assert made.model_copy(update=undone) == recipe


def test_rates_and_batches_keep_their_proportions() -> None:
    stages = [
        {"steps": 2, "patch": 64, "pairs": 6, "rate": [1e-3, 5e-4]},
        {"steps": 1, "patch": 96, "pairs": 2, "rate": [5e-4, 1e-5]},
    ]
    made = Space(Recipe.model_validate({**RECIPE, "stages": stages})).recipe_of({"pairs": 3, "rate": 2e-3})
    assert [stage.pairs for stage in made.stages] == [3, 1]
    assert [rate for stage in made.stages for rate in stage.rate] == pytest.approx([2e-3, 1e-3, 1e-3, 2e-5])


def test_shares_and_what_is_done_to_fakes(recipe: Recipe) -> None:
    made = Space(recipe).recipe_of({"share_1": 0.1, "share_3": 0.9, "parts": 0.3, "mixup": 0.5})
    assert [source.share for source in made.sources] == [0.1, 1, 0.9]
    registered, *others = made.sources
    assert (registered.parts, registered.mixup) == (0.3, 0.5)
    assert [source.parts for source in others] == [source.parts for source in recipe.sources[1:]]


def test_the_zoom_widens_around_its_middle(recipe: Recipe) -> None:
    low, high = Space(recipe).recipe_of({"zoom": 2.5}).view.zoom
    assert high / low == pytest.approx(2.5)
    assert low * high == pytest.approx(math.prod(recipe.view.zoom))


def test_a_start_is_chosen_for_the_network_that_has_two(recipe: Recipe) -> None:
    space = Space(changed(recipe, network="unet_lite0", start_from="trained"))
    assert space.recipe_of({}).start_from == "trained"
    assert [space.recipe_of({"start": start}).start_from for start in (CHANCE, IMAGENET)] == ["", IMAGENET]
    assert "start" in space.distributions()


def test_what_the_recipe_has_is_offered_in_order(recipe: Recipe) -> None:
    wanted = list(DIMENSIONS)
    place = wanted.index("shares")
    wanted[place : place + 1] = SHARES
    pretrained, other = (Space(changed(recipe, network=network)) for network in ("unet_lite0", "unet_v1"))
    assert list(pretrained.distributions()) == list(pretrained.described()) == wanted
    assert list(other.distributions()) == wanted[:-1]
    few = Space(recipe, ("shares", "rate"))
    assert list(few.distributions()) == ["rate", *SHARES]
    assert few.described()["share_3"] == "how often source 3 is drawn (selfblend: real)"


def test_what_is_drawn_makes_a_recipe(recipe: Recipe) -> None:
    space = Space(changed(recipe, network="unet_lite0"))
    for end in ("low", "high"):
        choice = {
            name: getattr(each, end) if hasattr(each, end) else each.choices[0]  # type: ignore[attr-defined]  # a categorical one
            for name, each in space.distributions().items()
        }
        made = space.recipe_of(choice)
        assert Recipe.model_validate(made.model_dump()) == made


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ("dropout", "no dimension of that name"),
        ("start", "that it could change"),
        ("parts", "that it could change"),
    ],
)
def test_dimensions_that_are_refused(recipe: Recipe, vary: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Space(recipe.model_copy(update={"network": "unet_v1", "sources": recipe.sources[1:]}), (vary,))


@pytest.mark.parametrize(("steps", "each"), [(300, [200, 100]), (3, [2, 1]), (4, [3, 1]), (1, [1, 1])])
def test_stages_are_stretched_in_proportion(recipe: Recipe, steps: int, each: list[int]) -> None:
    made = lengthened(recipe, steps)
    assert [stage.steps for stage in made.stages] == each
    assert made.validate_every == sum(each)
    assert lengthened(recipe, steps, 3).validate_every == math.ceil(sum(each) / 3)


def test_a_short_training_warms_up_shortly(recipe: Recipe) -> None:
    slow = lengthened(recipe, 3000).model_copy(update={"warmup_steps": 600})
    assert lengthened(slow, 30).warmup_steps == 6
    assert lengthened(slow, 9000).warmup_steps == 600
