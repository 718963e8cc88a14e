"""What a choice stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamguard.errors import ConfigError
from streamguard.training.config import IMAGENET, TrainConfig
from streamguard.training.search import DIMENSIONS, Space
from streamguard.training.search.space import BLENDS, BOTH, OTHERS, PAIRS, evenly, lengthened
from tests.support.training_data import CONFIG, micro_config


def test_a_choice_changes_what_it_names_and_nothing_else(config: TrainConfig) -> None:
    space = Space(config, ("unet_v1", "unet"))
    assert space.configured({}) == config
    made = space.configured({"picture_loss": 3.5, "pairs": 4, "network": "unet"})
    assert (made.network, made.train.picture_loss) == ("unet", 3.5)
    assert [stage.pairs for stage in made.train.stages] == [4, 4]
    undone = {"picture_loss": config.train.picture_loss, "stages": config.train.stages}
    assert made.model_copy(update={"network": "unet_v1", "train": made.train.model_copy(update=undone)}) == config


def test_batches_keep_their_proportions(tmp_path: Path) -> None:
    text = CONFIG.replace("steps = 2, patch = 64, pairs = 1", "steps = 2, patch = 64, pairs = 6")
    text = text.replace("steps = 1, patch = 96, pairs = 1", "steps = 1, patch = 96, pairs = 2")
    config = micro_config(tmp_path, text)
    made = Space(config, ("unet_v1",)).configured({"pairs": 3})
    assert [stage.pairs for stage in made.train.stages] == [3, 1]


@pytest.mark.parametrize(
    ("data", "blends", "donors"),
    [(PAIRS, 0, False), (BLENDS, 1, False), (BLENDS + OTHERS, 1, True), (BOTH, 0.4, False), (BOTH + OTHERS, 0.4, True)],
)
def test_data(config: TrainConfig, data: str, blends: float, donors: bool) -> None:
    train = Space(config, ("unet_v1",)).configured({"data": data}).train
    assert train.selfblend_share == blends
    assert (train.donor_share > 0) is donors
    assert not donors or train.fresh_share > 0


def test_pairs_alone_hold_no_plain_swap(tmp_path: Path) -> None:
    config = micro_config(tmp_path, CONFIG.replace("pairs = 1 }", "pairs = 1, plain_share = 0.3 }"))
    for data, share in ((PAIRS, 0.0), (BOTH, 0.3)):
        stages = Space(config, ("unet_v1",)).configured({"data": data}).train.stages
        assert {stage.plain_share for stage in stages} == {share}


def test_only_what_the_packs_allow_is_offered(config: TrainConfig) -> None:
    assert Space(config, ("a",), sources=frozenset({BLENDS})).data() == (BLENDS, BLENDS + OTHERS)
    pairs_only = Space(config, ("a",), sources=frozenset({PAIRS}))
    assert BLENDS in pairs_only.data()
    # The fakes that such a pack holds are swaps: a self-blend is always made anew.
    assert pairs_only.configured({"data": BLENDS}).train.fresh_share == 1


def test_an_unknown_dimension_is_refused(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="no dimension of that name"):
        Space(config, ("unet_v1",), ("dropout",))


def test_every_dimension_is_offered_once(config: TrainConfig) -> None:
    assert list(Space(config, ("unet_v1",)).distributions()) == list(DIMENSIONS)
    assert list(Space(config, ("unet_v1",), ("length", "data")).distributions()) == ["data", "length"]


@pytest.mark.parametrize(("steps", "each"), [(300, [200, 100]), (3, [2, 1]), (4, [3, 1]), (1, [1, 1])])
def test_stages_are_stretched_in_proportion(config: TrainConfig, steps: int, each: list[int]) -> None:
    made = lengthened(config, steps)
    assert [stage.steps for stage in made.train.stages] == each
    assert made.train.validate_every == sum(each)
    assert [stage.steps for stage in evenly(config, 5).train.stages] == [5, 5]


def test_a_short_training_warms_up_shortly(config: TrainConfig) -> None:
    long = lengthened(config, 3000)
    slow = long.model_copy(update={"train": long.train.model_copy(update={"warmup_steps": 600})})
    assert lengthened(slow, 30).train.warmup_steps == 6


def test_no_trial_starts_from_a_trained_detector(tmp_path: Path) -> None:
    """But the encoder of the network that has one from ImageNet does."""
    config = micro_config(tmp_path, CONFIG.replace("[train]", '[train]\nstart_from = "unet_v1"'))
    space = Space(config, ("unet_v1", "unet_lite0"))
    assert space.configured({"network": "unet_v1"}).train.start_from == ""
    assert space.configured({"network": "unet_lite0"}).train.start_from == IMAGENET
    assert space.configured({"weight_decay": 0.01, "schedule": "constant"}).train.weight_decay == 0.01
