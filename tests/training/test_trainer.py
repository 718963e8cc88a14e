"""The trainer: it learns, it resumes bit for bit, and what stops it is told and costs little."""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from streamguard.errors import DataError, OutputError, StreamguardError, UnknownModel
from streamguard.models import load
from streamguard.models.networks import fresh, save
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.pack import CropPack, write_crop_pack
from streamguard.training.recipe import Recipe
from streamguard.training.trainer import Reached, Trainer
from tests.support.training_data import (
    environment,
    example,
    held_packs,
    micro_recipe,
    recipe_text,
    tiny_model,
    train_packs,
    write_packs,
    write_recipe,
)

LEARNING = [{"steps": 16, "patch": 64, "pairs": 2, "rate": [1e-2, 1e-2]}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def packs(folder: Path) -> list[CropPack]:
    return train_packs(folder)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return micro_recipe(tmp_path)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step."""
    monkeypatch.setattr("streamguard.training.trainer.SAVED_EVERY", -1.0)


def made(recipe: Recipe, packs: list[CropPack], checkpoint: Path, workers: int = 1) -> Trainer:
    return Trainer(recipe, packs, None, checkpoint, workers=workers, model=tiny_model())


def nothing(reached: Reached) -> None:
    pass


def stop_after(step: int) -> Callable[[Reached], None]:
    """Stops the run when the next step is reached, once the checkpoint of `step` is written."""

    def advance(reached: Reached) -> None:
        if reached.step > step:
            raise KeyboardInterrupt

    return advance


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.averaged().network.state_dict()


def equal(one: Trainer, other: Trainer) -> bool:
    mine, theirs = weights(one), weights(other)
    return all(torch.equal(mine[key], theirs[key]) for key in theirs)


def losses(run: Callable[[Callable[[Reached], None]], None]) -> list[float]:
    """The loss of each step, taken back out of the moving average."""
    means: list[float] = []
    run(lambda reached: means.append(reached.loss))
    return means[:1] + [before + 50 * (after - before) for before, after in pairwise(means)]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_few_steps_make_the_loss_fall(packs: list[CropPack], tmp_path: Path, workers: int) -> None:
    recipe = micro_recipe(
        tmp_path,
        stages=LEARNING,
        sources=[{"kind": "registered", "share": 1, "fakes": ["swaps"]}],
        start_from="imagenet",
    )
    trainer = made(recipe, packs, tmp_path / "c.pt", workers)
    found = losses(trainer.run)
    assert trainer.reached.step == len(found) == 16
    assert trainer.reached.patches == 16 * 4
    assert np.mean(found[-5:]) < 0.85 * np.mean(found[:4])
    assert made(recipe, packs, tmp_path / "c.pt").reached.step == 16


def test_a_run_is_the_same_each_time_however_often_it_is_stopped(
    packs: list[CropPack], recipe: Recipe, tmp_path: Path, often: None
) -> None:
    straight, again = (made(recipe, packs, tmp_path / f"{name}.pt") for name in "ab")
    straight.run(nothing)
    again.run(nothing)
    assert equal(straight, again)
    for step in (1, 2):
        broken = made(recipe, packs, tmp_path / "c.pt")
        with pytest.raises(KeyboardInterrupt):
            broken.run(stop_after(step))
        assert made(recipe, packs, tmp_path / "c.pt").reached.step == step
    resumed = made(recipe, packs, tmp_path / "c.pt")
    resumed.run(nothing)
    assert equal(straight, resumed)
    assert (resumed.reached.step, resumed.reached.patches) == (3, 6)
    assert resumed.reached.loss == straight.reached.loss
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_is_out_of_time_goes_on_later(packs: list[CropPack], recipe: Recipe, tmp_path: Path) -> None:
    straight = made(recipe, packs, tmp_path / "a.pt")
    straight.run(nothing)
    for _ in range(recipe.steps):
        made(recipe, packs, tmp_path / "b.pt").run(nothing, seconds=1e-3)
    short = made(recipe, packs, tmp_path / "b.pt")
    short.run(nothing)
    assert equal(straight, short)
    assert short.reached.seconds > 0


def test_a_finished_run_has_nothing_left_to_do(packs: list[CropPack], recipe: Recipe, tmp_path: Path) -> None:
    made(recipe, packs, tmp_path / "c.pt").run(nothing)
    again = made(recipe, packs, tmp_path / "c.pt")
    again.run(lambda reached: pytest.fail("a step was taken"))
    assert again.reached.step == recipe.steps


CHILD = """
import sys
from pathlib import Path
from streamguard.training import trainer
from streamguard.training.pack import open_packs
from streamguard.training.recipe import read_recipe
from tests.support.training_data import tiny_model

trainer.SAVED_EVERY = -1.0
folder, packs = Path(sys.argv[1]), open_packs(Path(sys.argv[2]) / "train")
made = trainer.Trainer(read_recipe(folder / "micro.toml"), packs, None, folder / "c.pt", model=tiny_model())
made.run(lambda reached: print(reached.step, flush=True))
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint(folder: Path, packs: list[CropPack], tmp_path: Path) -> None:
    stages = [{"steps": 400, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-3]}]
    write_recipe(tmp_path, recipe_text(stages=stages))
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 4:
                child.send_signal(signal.SIGKILL)
                break
        assert child.wait(30) == -signal.SIGKILL
    whole = micro_recipe(tmp_path, stages=[{**stages[0], "steps": 6}])
    resumed = made(whole, packs, tmp_path / "c.pt")
    assert 3 <= resumed.reached.step < 400
    resumed.run(nothing)
    assert resumed.reached.step >= 6


# Checkpoints.


def text(path: Path) -> None:
    path.write_bytes(b"not a checkpoint\n" * 100)


def half(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def without_average(path: Path) -> None:
    state = torch.load(path, weights_only=True)
    del state["average"]
    torch.save(state, path)


def other_schema(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "schema": "streamguard.checkpoint/1"}, path)


def one_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


@pytest.fixture(scope="module")
def checkpoint(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoint")
    made(micro_recipe(place), train_packs(folder), place / "c.pt").run(nothing)
    return place / "c.pt"


@pytest.mark.parametrize(
    "damage", [text, half, without_average, other_schema, one_tensor, lambda path: path.write_bytes(b"")]
)
def test_a_damaged_checkpoint_is_refused(
    packs: list[CropPack], recipe: Recipe, checkpoint: Path, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = tmp_path / "c.pt"
    path.write_bytes(checkpoint.read_bytes())
    damage(path)
    with pytest.raises(DataError, match="damaged or of another network") as told:
        made(recipe, packs, path)
    assert told.value.thing == str(path)


def test_a_checkpoint_of_another_network_is_refused(packs: list[CropPack], checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of another network"):
        Trainer(micro_recipe(tmp_path, network="unet_v1"), packs, None, checkpoint)


def test_a_checkpoint_runs_no_code(packs: list[CropPack], recipe: Recipe, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"schema": Evil()}, tmp_path / "c.pt")
    with pytest.raises(DataError, match="damaged"):
        made(recipe, packs, tmp_path / "c.pt")
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_in_the_middle_of_a_checkpoint_keeps_the_last_one(
    packs: list[CropPack], recipe: Recipe, tmp_path: Path, often: None
) -> None:
    """The kernel itself refuses the bytes: a limit on the file size acts as a full disk does."""
    trainer = made(recipe, packs, tmp_path / "c.pt")
    with pytest.raises(KeyboardInterrupt):
        trainer.run(stop_after(1))
    before = (tmp_path / "c.pt").stat().st_mtime_ns
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot be written \(.*File too large\)") as raised:
            made(recipe, packs, tmp_path / "c.pt").run(nothing)
        # The file is let go of although the error is held.
        assert raised.value.__cause__ is not None
        assert not [each for each in Path("/proc/self/fd").iterdir() if "c.partial" in os.path.realpath(each)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "c.pt").stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.partial"))
    assert made(recipe, packs, tmp_path / "c.pt").reached.step == 1


# What stops a run.


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_picture_stops_the_run(tmp_path: Path, workers: int) -> None:
    write_crop_pack(tmp_path / "s", [replace(example(0, set_="s"), fake=b"damaged")])
    recipe = micro_recipe(tmp_path, sources=[{"kind": "registered", "share": 1, "fakes": ["s"]}])
    trainer = made(recipe, [CropPack(tmp_path / "s")], tmp_path / "c.pt", workers)
    with pytest.raises(DataError, match="cannot be decoded"):
        trainer.run(nothing)
    assert not (tmp_path / "c.pt").exists()
    # An error and the frames of its traceback hold each other, and so the pack.
    del trainer
    gc.collect()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_fails_in_a_worker_is_raised_and_the_trainer_can_go_on(
    packs: list[CropPack], recipe: Recipe, tmp_path: Path, workers: int
) -> None:
    class Broken(StreamguardError):
        pass

    def fail(reached: Reached) -> None:
        raise Broken("log", "no room")

    trainer = made(recipe, packs, tmp_path / "c.pt", workers)
    with pytest.raises(Broken, match="no room"):
        trainer.run(fail)
    trainer.run(nothing)
    assert trainer.reached.step == recipe.steps


def test_a_loss_that_is_no_number(packs: list[CropPack], recipe: Recipe, tmp_path: Path) -> None:
    trainer = made(recipe, packs, tmp_path / "c.pt")
    with torch.no_grad():
        next(trainer.model.network.parameters()).fill_(math.nan)
    with pytest.raises(DataError, match="the loss is nan at step 0"):
        trainer.run(nothing)
    assert not (tmp_path / "c.pt").exists()


def test_a_source_without_examples_and_an_unknown_network(packs: list[CropPack], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no example that is registered"):
        Trainer(
            micro_recipe(tmp_path, sources=[{"kind": "registered", "share": 1, "fakes": ["real"]}]),
            *(packs, None, tmp_path / "c.pt"),
        )
    with pytest.raises(UnknownModel):
        Trainer(micro_recipe(tmp_path, network="resnet"), packs, None, tmp_path / "c.pt")


# Validation and start.


def test_validation_is_kept_in_the_checkpoint_and_leaves_training_as_it_was(
    folder: Path, packs: list[CropPack], recipe: Recipe, tmp_path: Path
) -> None:
    plain = made(recipe, packs, tmp_path / "a.pt")
    plain.run(nothing)
    held = HeldOutCrops(held_packs(folder), plain.model.spec.margin)
    seen: list[int] = []
    measured = Trainer(recipe, packs, held, tmp_path / "b.pt", model=tiny_model())
    measured.run(lambda reached: seen.append(len(reached.curve)))
    assert equal(plain, measured)
    assert [point["step"] for point in measured.reached.curve] == [2, 3]
    assert seen == [0, 0, 1, 1, 2]
    assert json.loads(json.dumps(measured.reached.curve)) == measured.reached.curve
    # The figures, too, come back: a checkpoint is read without running anything of it.
    assert made(recipe, packs, tmp_path / "b.pt").reached == measured.reached
    assert set(measured.reached.curve[-1]["sets"]) == {"loose", "loose/Diffusion", "loose/Lips", "swaps"}


def test_the_average_follows_the_weights_and_is_what_is_shipped(packs: list[CropPack], tmp_path: Path) -> None:
    quick = made(micro_recipe(tmp_path, average=0.0), packs, tmp_path / "c.pt")
    quick.run(nothing)
    current = quick.model.network.state_dict()
    assert all(torch.allclose(value, current[key]) for key, value in weights(quick).items())
    slow = made(micro_recipe(tmp_path, average=0.999), packs, tmp_path / "d.pt")
    slow.run(nothing)
    assert not equal(quick, slow)


def test_a_run_starts_from_the_weights_of_another(packs: list[CropPack], tmp_path: Path) -> None:
    one = [{"steps": 1, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-3]}]
    save(fresh("unet_lite0", 5), tmp_path / "first")
    recipe = micro_recipe(tmp_path, start_from=str(tmp_path / "first"), stages=one)
    given = load(str(tmp_path / "first")).network.state_dict()
    trainer = Trainer(recipe, packs, None, tmp_path / "c.pt")
    assert all(torch.equal(given[key], value) for key, value in weights(trainer).items())
    trainer.run(nothing)
    changed = {key for key, value in weights(trainer).items() if not torch.equal(given[key], value)}
    assert {key.split(".")[0] for key in changed} == {key.split(".")[0] for key in given}


def test_a_teachers_answers_are_learned_beside_the_truth(packs: list[CropPack], tmp_path: Path) -> None:
    teacher = tiny_model(7)
    with torch.no_grad():
        # It takes everything for fake, which the truth never says.
        teacher.network.head.bias.fill_(4.0)
    save(teacher, tmp_path / "teacher")
    common = {
        "stages": [{"steps": 50, "patch": 64, "pairs": 2, "rate": [1e-2, 1e-2]}],
        "average": 0.0,
        "warmup_steps": 0,
    }
    picture = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    answered = {}
    for loss in (0, 50):
        told = {"teacher": str(tmp_path / "teacher"), "teacher_loss": loss} if loss else {}
        trainer = made(micro_recipe(tmp_path, **common, **told), packs, tmp_path / f"{loss}.pt")
        trainer.run(nothing)
        with torch.inference_mode():
            answered[loss] = float(trainer.averaged().network.eval()(picture).mean())
    assert answered[0] < 0 < answered[50]
    with pytest.raises(UnknownModel):
        made(micro_recipe(tmp_path, teacher="nobody"), packs, tmp_path / "c.pt")
