"""Hard examples: the shares hold, the draw follows the losses, and a resumed run draws the same."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import DataError
from streamguard.training.hard_examples import LAG, Example, Known, LossMemory, pair_losses
from streamguard.training.loop import Progress, Trainer
from streamguard.training.sampler import Sampler, open_packs
from tests.support.training_data import CONFIG, micro_config, write_packs

POOLS = ("face swap", "self-blend", "face swap, made anew", "self-blend, made anew")
losses_of_a_step = st.lists(
    st.tuples(st.sampled_from(POOLS), st.integers(0, 9), st.floats(0, 10, width=32)), min_size=1, max_size=5
)
runs = st.lists(losses_of_a_step, min_size=1, max_size=12)
HARD = "selfblend_share = 0.5\nhard_share = 0.5\nstages = [{ steps = 8, patch = 64, pairs = 3 }]\n"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def sampler(packs: Path, folder: Path, extra: str) -> Sampler:
    return Sampler(micro_config(folder, CONFIG + extra), open_packs(packs))


def learned(memory: LossMemory, step: int, rows: list[tuple[str, int, float]]) -> None:
    memory.record(step, [Example(pool, index) for pool, index, _ in rows], [loss for _, _, loss in rows])


def drawn(known: Known, seed: int = 0, count: int = 30) -> list[int | None]:
    random = np.random.default_rng(seed)
    return [known.draw(pool, random) for _ in range(count) for pool in POOLS]


def hardest(index: int) -> Known:
    """One example of every pool has all the loss."""
    memory = LossMemory()
    learned(memory, 0, [(pool, each, float(each == index)) for pool in POOLS for each in range(4)])
    return memory.known(LAG)


def test_without_a_share_batches_are_as_ever(packs: Path, tmp_path: Path) -> None:
    made = sampler(packs, tmp_path, "selfblend_share = 0.5\n")
    for step in range(3):
        knowing, unknowing = made.samples(step, hardest(1)), made.samples(step)
        for one, other in zip(knowing, unknowing, strict=True):
            assert one.example == other.example
            assert (one.patches.fake == other.patches.fake).all()


def test_before_any_loss_is_known_all_are_as_likely(packs: Path, tmp_path: Path) -> None:
    made = sampler(packs, tmp_path, "selfblend_share = 0\nhard_share = 1.0\n")
    counts = Counter(made.choose(made.stage(0), made.random(step)).index for step in range(200))
    assert set(counts) == {0, 1, 2, 3}
    assert min(counts.values()) > 25


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_the_share_is_drawn_by_loss_and_the_rest_uniformly(packs: Path, tmp_path: Path, share: float) -> None:
    made = sampler(packs, tmp_path, f"selfblend_share = 0.5\ndonor_share = 0\nhard_share = {share}\n")
    known = hardest(2)
    found = [made.choose(made.stage(0), made.random(step), known).index for step in range(600)]
    assert np.mean([index == 2 for index in found]) == pytest.approx(share + (1 - share) / 4, abs=0.07)


def test_the_kinds_keep_their_shares(packs: Path, tmp_path: Path) -> None:
    shares = "selfblend_share = 0.6\nfresh_share = 0.5\nmix_share = 0.5\n"
    counts = []
    for hard in (0.0, 1.0):
        made = sampler(packs, tmp_path, f"{shares}hard_share = {hard}\n")
        kinds = Counter(made.choose(made.stage(0), made.random(step), hardest(0)).kind for step in range(500))
        counts.append({kind: number / 500 for kind, number in kinds.items()})
    assert counts[0] == pytest.approx(counts[1], abs=0.08)


def test_an_example_is_as_likely_as_its_loss_is_large() -> None:
    memory = LossMemory()
    learned(memory, 0, [("face swap", index, loss) for index, loss in ((0, 1.0), (1, 3.0), (2, 0.0), (3, 6.0))])
    known, random = memory.known(LAG), np.random.default_rng(0)
    counts = Counter(known.draw("face swap", random) for _ in range(5000))
    assert counts[2] == 0
    assert [counts[index] / 5000 for index in (0, 1, 3)] == pytest.approx([0.1, 0.3, 0.6], abs=0.03)


@given(runs, st.integers(0, 999))
def test_a_restored_memory_draws_what_the_first_would(run: list[list[tuple[str, int, float]]], seed: int) -> None:
    """Cut at every step; asked for in the order in which the loop asks: the next batch before this one is learned."""
    straight, expected = LossMemory(capacity=4), []
    states = []
    straight.known(0)
    for step, rows in enumerate(run):
        expected.append(drawn(straight.known(step + 1), seed))
        learned(straight, step, rows)
        stored = BytesIO()
        torch.save(straight.state(), stored)
        states.append(stored)
    for cut, stored in enumerate(states):
        stored.seek(0)
        again = LossMemory(capacity=4)
        again.restore(torch.load(stored, weights_only=True))
        assert drawn(again.known(cut + 1), seed) == expected[cut]
        for step in range(cut + 1, len(run)):
            assert drawn(again.known(step + 1), seed) == expected[step]
            learned(again, step, run[step])


@given(runs)
def test_the_memory_is_bounded_and_keeps_what_was_seen_last(run: list[list[tuple[str, int, float]]]) -> None:
    memory = LossMemory(capacity=3)
    last: dict[str, dict[int, float]] = {pool: {} for pool in POOLS}
    for step, rows in enumerate(run):
        learned(memory, step, rows)
        for pool, index, loss in rows:
            last[pool].pop(index, None)
            last[pool][index] = loss
    known = memory.known(len(run) + LAG)
    for pool, (examples, sums) in known.pools.items():
        newest = list(last[pool].items())[-3:]
        assert examples.tolist() == [index for index, _ in newest]
        assert np.allclose(np.diff(sums, prepend=0), [loss for _, loss in newest], atol=1e-5)


def test_what_a_step_taught_counts_two_steps_later() -> None:
    memory = LossMemory()
    learned(memory, 5, [("face swap", 0, 1.0)])
    assert memory.known(6).pools == {}
    assert list(memory.known(7).pools) == ["face swap"]


def test_a_loss_that_is_no_number_is_left_out() -> None:
    memory = LossMemory()
    learned(memory, 0, [("face swap", 0, float("nan")), ("face swap", 1, float("inf")), ("face swap", 2, 0.5)])
    assert memory.known(LAG).pools["face swap"][0].tolist() == [2]


def test_the_loss_of_a_pair_is_that_of_its_two_pictures() -> None:
    logits = torch.tensor([0.0, 0.0, 9.0, -9.0])[:, None, None].expand(4, 8, 8)
    truth = torch.tensor([0.0, 1.0, 0.0, 1.0])[:, None, None].expand(4, 8, 8)
    assert pair_losses(logits, truth) == pytest.approx([np.log(2), 9.0], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cpu", "device"])
def test_a_resumed_run_is_the_uninterrupted_one(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr("streamguard.training.loop.CHECKPOINT_EVERY", 1)
    text = CONFIG[: CONFIG.index("stages")] + HARD + f'augment_on = "{where}"\n'
    config = micro_config(tmp_path, text.replace("validate_every = 2", "validate_every = 100"))
    losses: list[float] = []
    straight = Trainer(config, open_packs(packs), tmp_path / "a.pt")
    straight.run(lambda progress, loss: losses.append(loss))
    pieces: list[float] = []

    def stop(progress: Progress, loss: float) -> None:
        pieces.append(loss)
        if progress.step in {3, 6}:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Trainer(config, open_packs(packs), tmp_path / "b.pt").run(stop)
    resumed = Trainer(config, open_packs(packs), tmp_path / "b.pt")
    resumed.run(stop)
    assert pieces == losses
    one, two = (torch.load(tmp_path / name, weights_only=True)["losses"] for name in ("a.pt", "b.pt"))
    assert one["fresh"] == two["fresh"]
    assert one["pools"].keys() == two["pools"].keys()
    assert all(
        torch.equal(a, b) for pool in one["pools"] for a, b in zip(one["pools"][pool], two["pools"][pool], strict=True)
    )


def test_a_checkpoint_from_before_an_option_came_goes_on(packs: Path, tmp_path: Path) -> None:
    config = micro_config(tmp_path)
    Trainer(config, open_packs(packs), tmp_path / "c.pt").run(lambda progress, loss: None)
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    for option in ("hard_share", "augment_on"):
        del state["config"]["train"][option]
    del state["losses"]
    torch.save(state, tmp_path / "c.pt")
    assert Trainer(config, open_packs(packs), tmp_path / "c.pt").progress.step == 3
    other = micro_config(tmp_path, CONFIG + "hard_share = 0.5\n")
    with pytest.raises(DataError, match="another configuration"):
        Trainer(other, open_packs(packs), tmp_path / "c.pt")
