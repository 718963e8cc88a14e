"""A search: what a choice stands for, what a trial is worth, a study that goes on where it stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

from streamguard.errors import ConfigError, DataError, OutputError
from streamguard.models import fresh
from streamguard.training.config import IMAGENET, TrainConfig
from streamguard.training.loop import Progress
from streamguard.training.pack import Pack
from streamguard.training.search import DIMENSIONS, Budget, Plan, Searched, Space, Standing, search
from streamguard.training.search import trial as trial_module
from streamguard.training.search.report import facts, importances, page, ranked
from streamguard.training.search.space import BLENDS, BOTH, OTHERS, PAIRS, evenly, lengthened
from streamguard.training.search.trial import Pruned, Result, Task, attempt, frame_auc
from tests.support.training_data import CONFIG, micro_config, write_packs


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    """Python's own process that outlives every pool, once for the life of this one."""
    resource_tracker.ensure_running()


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)


def plan_of(config: TrainConfig, packs: Path, out: Path, trials: int = 3, steps: int = 2) -> Plan:
    space = Space(config, ("unet_v1",), ("data", "pairs", "picture_loss"))
    return Plan(space, packs, out, trials, Budget(steps=steps), sampler="random", triples=2)


def quietly(study: optuna.Study, standing: Standing) -> None:
    pass


def pretended(task: Task, *_: object) -> Result:
    """What a trial gives, without training: more for a heavier picture loss."""
    value = 0.5 + task.config.train.picture_loss / 10
    return Result(value, value, None, 2, 2, 0.1)


def fast(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Searched:
    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    return search(plan, quietly)


# What a choice stands for


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


# One trial


def task_of(config: TrainConfig, packs: Path, scratch: Path, budget: Budget, objective: str = "calibration") -> Task:
    return Task(config, 1.0, budget, packs, objective, triples=2, scratch=scratch)


def test_a_trial_trains_its_steps_and_leaves_nothing(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    result = attempt(task_of(config, packs, tmp_path / "scratch", Budget(steps=3)))
    assert (result.steps, result.planned) == (3, 3)
    assert result.value == result.blends_auc
    assert 0 <= result.value <= 1
    assert result.pairs_auc is None
    assert result.seconds > 0
    assert not list((tmp_path / "scratch").iterdir())


def test_validation_pairs_count_only_where_asked_for(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    few = tmp_path / "packs"
    few.mkdir()
    for name in ("pairs", "selfblend", "calibration"):
        (few / name).symlink_to(packs / name)
    attempt(task_of(config, few, tmp_path, Budget(steps=2)))
    with pytest.raises(DataError, match="no complete pack"):
        attempt(task_of(config, few, tmp_path, Budget(steps=2), "validation"))
    result = attempt(task_of(config, packs, tmp_path, Budget(steps=2), "validation"))
    assert result.pairs_auc is not None
    assert result.value == (result.blends_auc + result.pairs_auc) / 2


def test_seconds_become_steps_and_are_kept(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "_pace", lambda *_: 0.5)
    result = attempt(task_of(config, packs, tmp_path, Budget(seconds=1e-3, steps=9)))
    assert (result.steps, result.planned) == (1, 2)
    result = attempt(task_of(config, packs, tmp_path, Budget(seconds=600, steps=3)))
    assert (result.steps, result.planned) == (3, 3)


def test_the_pace_weighs_the_stages(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages of 0.1 s and 0.4 s a step, twice as many of the first: 0.2 s. Their first steps do not count."""
    times = iter([0.0, 9.0, 9.1, 9.2, 20.0, 20.4, 20.8])
    monkeypatch.setattr(trial_module.time, "monotonic", lambda: next(times))

    class Stepping:
        def run(self, advance: object) -> None:
            assert callable(advance)
            for step in range(1, 7):
                advance(Progress(step), 0.0)

    assert trial_module._pace(Stepping(), config, lambda *_: None) == pytest.approx(0.2)  # type: ignore[arg-type]  # a trainer that only steps


def test_a_trial_may_be_ended_at_its_looks(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def look(number: int, worth: float) -> bool:
        seen.append((number, worth))
        return number == 2

    with pytest.raises(Pruned):
        attempt(task_of(config, packs, tmp_path, Budget(steps=6)), look)
    assert [number for number, _ in seen] == [1, 2]
    assert all(0 <= worth <= 1 for _, worth in seen)


def test_the_objective_knows_the_halves(packs: Path) -> None:
    """A network that answers with how green a pixel is: the fakes of the pack are painted green."""

    class Greenness(torch.nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return picture[:, 1:2] - picture[:, :1]

    pack = Pack(packs / "calibration")
    model = fresh("unet_v1")
    assert frame_auc(replace(model, network=Greenness()), pack, 99) == 1.0

    class Nothing(Greenness):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return super().forward(picture) * torch.nan

    with pytest.raises(DataError, match="not finite"):
        frame_auc(replace(model, network=Nothing()), pack, 99)


# The study


def test_three_trials_then_one_more(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    plan = plan_of(config, packs, tmp_path / "out")
    told: list[int] = []
    found = search(plan, lambda study, standing: told.append(standing.done))
    assert told == [0, 1, 2, 3]
    assert found.new == 3
    assert [trial.state for trial in found.study.trials] == [TrialState.COMPLETE] * 3
    more = search(replace(plan, trials=4, sampler="tpe"), quietly)
    assert more.new == 1
    assert [trial.number for trial in more.study.trials] == [0, 1, 2, 3]
    # Going on draws anew.
    drawn = [trial.params["picture_loss"] for trial in more.study.trials]
    assert len(set(drawn)) == 4
    assert search(replace(plan, trials=2), quietly).new == 0


@pytest.mark.slow
def test_two_workers_in_processes_of_their_own(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    plan = replace(plan_of(config, packs, tmp_path / "out", trials=2), workers=2, prune=True)
    found = search(plan, quietly)
    assert [trial.state for trial in found.study.trials] == [TrialState.COMPLETE] * 2
    assert not multiprocessing.active_children()
    assert all(trial.user_attrs["steps"] == 2 for trial in found.study.trials)


@pytest.mark.slow
def test_a_killed_worker_is_a_failed_trial(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    """The system ends a process that is out of memory; the other trials are done all the same."""
    plan = replace(plan_of(config, packs, tmp_path / "out", trials=4), workers=2)
    killed: list[int] = []

    def kill_one(study: optuna.Study, standing: Standing) -> None:
        if standing.done == 1 and not killed:
            victim = multiprocessing.active_children()[0]
            assert victim.pid is not None
            killed.append(victim.pid)
            os.kill(victim.pid, 9)
            victim.join(30)

    found = search(plan, kill_one)
    states = [trial.state for trial in found.study.trials]
    assert len(states) == 4
    failures = [trial.user_attrs["failure"] for trial in found.study.get_trials(states=(TrialState.FAIL,))]
    assert 1 <= len(failures) <= 2, failures
    assert all("BrokenProcessPool" in failure for failure in failures)
    assert states.count(TrialState.COMPLETE) == 4 - len(failures)


def test_a_trial_that_raises_is_named_and_the_study_goes_on(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def second_fails(task: Task, *_: object) -> Result:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("out of memory\nand more")
        return pretended(task)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", second_fails)
    last: list[Standing] = []
    found = search(plan_of(config, packs, tmp_path / "out"), lambda study, standing: last.append(standing))
    assert (last[-1].done, last[-1].failed) == (3, 1)
    assert found.study.trials[1].user_attrs["failure"] == "RuntimeError: out of memory\\nand more"
    told = facts(found.study)
    assert [trial["state"] for trial in told["trials"]] == ["complete", "fail", "complete"]
    assert "out of memory" in page(found.study)


def test_what_was_interrupted_is_done_again(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(task: Task, *_: object) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamguard.training.search.workers.attempt", interrupted)
    plan = plan_of(config, packs, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        search(plan, quietly)
    found = fast(plan, monkeypatch)
    first, again, *rest = found.study.trials
    assert (first.state, again.state, len(rest)) == (TrialState.FAIL, TrialState.COMPLETE, 2)
    assert first.params == again.params
    told = facts(found.study)
    assert (told["done"], told["failed"]) == (3, 0)
    assert told["trials"][0]["state"] == "interrupted"


def test_pruned_trials_are_counted(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ever worse trials a pruner ends those that come after its start."""
    worth = iter([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])

    def worse(task: Task, look: object, *_: object) -> Result:
        value = next(worth)
        assert callable(look)
        if look(1, value):
            raise Pruned
        return Result(value, value, None, 2, 2, 0.1)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", worse)
    found = search(replace(plan_of(config, packs, tmp_path / "out", trials=6), prune=True), quietly)
    told = facts(found.study)
    assert (told["done"], told["pruned"], told["best"]) == (6, 2, 0)
    assert [trial["value"] for trial in told["trials"]] == [0.9, 0.8, 0.7, 0.6, None, None]


# What is refused


def test_another_configuration_in_the_same_folder(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(config, packs, tmp_path / "out")
    fast(plan, monkeypatch)
    other = micro_config(tmp_path, CONFIG + "seed = 2\n")
    for changed, named in (
        (replace(plan, space=replace(plan.space, config=other)), "configuration.train.seed"),
        (replace(plan, budget=Budget(steps=5)), "budget.steps"),
        (replace(plan, objective="validation"), "objective"),
        (replace(plan, space=replace(plan.space, vary=("data",))), "varied"),
    ):
        with pytest.raises(DataError, match=f"begun with another {named}"):
            search(changed, quietly)
    named_otherwise = config.model_copy(update={"name": "other"})
    with pytest.raises(DataError, match="another study: micro"):
        search(replace(plan, space=replace(plan.space, config=named_otherwise)), quietly)


def test_a_folder_that_is_no_study(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.db").write_text("no database at all, but text that is long enough" * 100)
    with pytest.raises(DataError, match="no study can be read"):
        search(plan_of(config, packs, out), quietly)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        search(plan_of(config, packs, tmp_path / "file" / "out"), quietly)


def test_two_searches_in_one_folder(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(config, packs, tmp_path / "out")

    def meanwhile(study: optuna.Study, standing: Standing) -> None:
        with pytest.raises(DataError, match="another search is at work"):
            search(plan, quietly)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    search(plan, meanwhile)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sampler": "grid"}, "choose random or tpe"),
        ({"objective": "test"}, "choose calibration or validation"),
        ({"trials": 0}, "at least 1"),
    ],
)
def test_wrong_plans(config: TrainConfig, packs: Path, tmp_path: Path, wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(plan_of(config, packs, tmp_path), **wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert words in f"{caught.value.cause} {caught.value.remedy}"


@pytest.mark.parametrize("nothing", [{}, {"seconds": 0.0}, {"steps": 0}])
def test_nothing_to_spend(nothing: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="nothing to spend"):
        Budget(**nothing)


# What is told


def test_the_report_names_everything(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(config, packs, tmp_path / "out", trials=12)
    study = fast(plan, monkeypatch).study
    told = facts(study)
    assert json.loads(json.dumps(told)) == told
    assert told["schema"] == "streamguard.search/1"
    assert len(told["trials"]) == told["done"] == 12
    values = [trial["value"] for trial in told["trials"]]
    assert told["best"] == values.index(max(values)) == ranked(study)[0].number
    # The pretended objective follows the picture loss and nothing else.
    shares = importances(study)
    assert next(iter(shares)) == "picture_loss"
    assert shares["picture_loss"] > 0.7
    html = page(study)
    assert "parallel-coordinates" in html
    assert "parcoords" in html
    for words in ("picture_loss", "other faces", "Best trials", "What mattered", "dropout", "one-cycle", "frame AUC"):
        assert words in html
    assert "<script src" not in html


def test_a_report_of_too_little(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = fast(plan_of(config, packs, tmp_path / "out", trials=1), monkeypatch).study
    assert importances(study) == {}
    assert "complete trials on" in page(study)


def test_no_trial_starts_from_a_trained_detector(tmp_path: Path) -> None:
    """But the encoder of the network that has one from ImageNet does."""
    config = micro_config(tmp_path, CONFIG.replace("[train]", '[train]\nstart_from = "unet_v1"'))
    space = Space(config, ("unet_v1", "unet_lite0"))
    assert space.configured({"network": "unet_v1"}).train.start_from == ""
    assert space.configured({"network": "unet_lite0"}).train.start_from == IMAGENET
    assert space.configured({"weight_decay": 0.01, "schedule": "constant"}).train.weight_decay == 0.01
