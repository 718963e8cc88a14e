"""Several detectors joined to one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamguard.errors import DataError
from streamguard.models import LoadedModel, load
from streamguard.models.networks import fresh, join, save


def test_answers_are_averaged_and_come_back_from_disk(tmp_path: Path) -> None:
    members = [fresh("unet_lite0", seed) for seed in (1, 2)]
    members[1] = LoadedModel(replace(members[1].spec, name="other", threshold=0.7), members[1].network)
    whole = join(members)
    assert (whole.spec.members, whole.spec.threshold) == (2, 0.5)
    save(whole, tmp_path / "both")
    again = load(str(tmp_path / "both"))
    assert again.spec.members == 2
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        apart = [member.network(picture) for member in members]
        assert torch.allclose(whole.network(picture), (apart[0] + apart[1]) / 2, atol=1e-5)
        assert torch.allclose(again.network(picture), whole.network(picture), atol=2e-2)
    assert not again.network.training


def test_one_may_count_more() -> None:
    members = [fresh("unet_v1", seed) for seed in (1, 2)]
    whole = join(members, [3, 1])
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        one, two = (member.network(picture) for member in members)
        assert torch.allclose(whole.network(picture), (3 * one + two) / 4, atol=1e-5)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit(weights: list[float]) -> None:
    with pytest.raises(DataError, match="weights"):
        join([fresh("unet_v1", seed) for seed in (1, 2)], weights)


@pytest.mark.parametrize("names", [["unet_lite0"], ["unet_lite0", "unet_v1"]])
def test_what_cannot_be_joined(names: list[str]) -> None:
    with pytest.raises(DataError, match="unet_lite0"):
        join([fresh(name) for name in names])


def test_joined_ones_are_not_joined_again() -> None:
    both = join([fresh("unet_lite0", seed) for seed in (1, 2)])
    with pytest.raises(DataError):
        join([both, both])
