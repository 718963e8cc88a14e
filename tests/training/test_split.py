"""The split by person."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.errors import DataError
from streamguard.training.config import TrainConfig
from streamguard.training.split import Split, person_of, split


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("First_Last_2.mp4", "First_Last"),
        ("First_Last_0.mp4", "First_Last"),
        ("First_Last.mp4", "First_Last"),
        ("set_012_s.jpg", "set_012"),
        ("set_012_n.jpg", "set_012"),
        ("vr_3.mp4", "vr_3"),
        ("lp_d10.mp4", "lp_d10"),
        ("st_WDA_Name_000.mp4", "st_WDA_Name"),
        ("00017.jpg", "00017"),
        ("one.two.png", "one.two"),
    ],
)
def test_person_of(name: str, person: str) -> None:
    assert person_of(Path("folder") / name) == person


def config(**data: object) -> TrainConfig:
    train = {"stages": [{"steps": 1, "patch": 64, "pairs": 1}]}
    return TrainConfig.model_validate({"name": "micro", "network": "unet_v1", "data": data, "train": train})


def files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def persons(side: Split) -> set[str]:
    return {person_of(path) for path in (*side.pairs, *side.videos, *side.portraits)}


NAMES = st.lists(
    st.sampled_from([f"{n}_{m}_{k}" for n in "abc" for m in "xyz" for k in range(3)]), min_size=1, unique=True
)


@settings(max_examples=40, deadline=None)
@given(pairs=NAMES, videos=NAMES, faces=NAMES, every=st.integers(2, 5), data=st.data())
def test_nobody_is_on_both_sides(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[str],
    videos: list[str],
    faces: list[str],
    every: int,
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("root")
    files(root, *(f"p/{n}.mp4" for n in pairs), *(f"v/{n}.webm" for n in videos), *(f"f/{n}.jpg" for n in faces))
    known = sorted({person_of(Path(f"{n}.mp4")) for n in [*pairs, *videos]})
    kept = data.draw(st.lists(st.sampled_from(known), unique=True))
    training, held = split(
        root,
        config(pairs="p", real_videos=["v"], faces=["f"], validation_persons=kept, validation_every=every),
    )
    trained = persons(training)
    assert not trained & {person_of(path) for path in held.pairs}
    assert not trained & set(kept)
    assert not {person_of(path) for path in training.portraits} & {person_of(path) for path in held.portraits}
    assert {*training.pairs, *held.pairs} == set((root / "p").iterdir())
    assert {*training.videos, *held.videos} == set((root / "v").iterdir())


def test_two_expressions_of_one_face_stay_together(tmp_path: Path) -> None:
    files(tmp_path, *(f"f/set_{n:03d}_{kind}.jpg" for n in range(9) for kind in "ns"))
    training, held = split(tmp_path, config(faces=["f"], validation_every=4))
    assert held.portraits
    assert not persons(training) & persons(held)


def test_only_so_many_portraits_of_a_folder(tmp_path: Path) -> None:
    files(tmp_path, *(f"f/{n:03d}.png" for n in range(50)))
    training, _ = split(tmp_path, config(faces=["f"], faces_per_folder=7))
    assert len(training.portraits) == 7


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    files(tmp_path, "p/Ann_Lee_0.mp4", "empty/readme.txt")
    with pytest.raises(DataError, match=r"without a clip: Bob_Ray, Cid_Roe"):
        split(tmp_path, config(pairs="p", validation_persons=["Cid_Roe", "Ann_Lee", "Bob_Ray"]))
    with pytest.raises(DataError, match=r"nowhere: no such folder\. Give|nowhere: no such folder\. give"):
        split(tmp_path, config(pairs="nowhere"))
    with pytest.raises(DataError, match="no file of the kinds"):
        split(tmp_path, config(faces=["empty"]))
