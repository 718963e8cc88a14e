"""Packs: whole or not there, and what stops their making leaves the last one."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.training.pack import CropPack, Example, check_apart, open_packs, thinned, write_crop_pack
from tests.support.training_data import example, held_packs, train_packs, views, write_packs


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    write_crop_pack(tmp_path / "p", [example(0), example(1, "bob", "fake"), example(2, "bob", "real")])
    return tmp_path / "p"


def groups(folder: Path) -> list[str]:
    return [str(name) for name in CropPack(folder).group]


def test_round_trip(pack: Path) -> None:
    opened, written = CropPack(pack), [example(0), example(1, "bob", "fake"), example(2, "bob", "real")]
    assert len(opened) == 3
    assert (opened.real < 0).tolist() == [False, True, False]
    assert (opened.fake < 0).tolist() == [False, False, True]
    assert (opened.mask < 0).tolist() == [False, True, True]
    real, fake, mask = views(0)
    assert (opened.picture(opened.real[0]) == real).all()
    assert (opened.picture(opened.fake[0]) == fake).all()
    assert ((opened.mask_of(opened.mask[0]) > 0) == mask).all()
    for number, each in enumerate(written):
        for field in fields(Example):
            read, given = getattr(opened.example(number), field.name), getattr(each, field.name)
            assert np.allclose(read, given) if field.name in ("box", "landmarks", "inside") else read == given


def test_a_real_picture_of_several_fakes_is_kept_once(tmp_path: Path) -> None:
    one = example(0)
    write_crop_pack(tmp_path / "p", [one, replace(one, fake=example(1).fake), replace(one, group="bob")])
    opened = CropPack(tmp_path / "p")
    assert len(set(opened.real)) == 1
    assert len(set(opened.fake)) == 2
    sizes = [len(data) for data in (one.real, one.fake, one.mask, example(1).fake) if data]
    assert opened.size == sum(sizes)


def broken(kind: type[BaseException]) -> Iterator[Example]:
    yield example(3, "new")
    raise kind(28, "No space left")


@pytest.mark.parametrize(("kind", "seen"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, DataError)])
def test_what_breaks_off_leaves_the_last_pack(pack: Path, kind: type[BaseException], seen: type[BaseException]) -> None:
    kept = CropPack(pack)
    with pytest.raises(seen):
        write_crop_pack(pack, broken(kind))
    assert groups(pack) == ["ann", "bob", "bob"]
    assert {path.name for path in pack.iterdir()} == {"pictures.bin", "index.npz"}
    write_crop_pack(pack, [example(3, "new")])
    assert groups(pack) == ["new"]
    # One that is being read goes on showing what it was opened on.
    assert (kept.picture(kept.real[0]) == views(0)[0]).all()


@pytest.mark.parametrize("room", [200_000, 1_000])
def test_a_full_disk_leaves_the_last_pack(pack: Path, room: int) -> None:
    """The kernel itself refuses the bytes: a limit on the file size acts as a full disk does.

    The smaller one is met by the pictures, the larger one by the index too where it is long.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    many = [example(3, f"{n}" * 3_000) for n in range(40)] if room > 100_000 else [example(3)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            write_crop_pack(pack, many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert groups(pack) == ["ann", "bob", "bob"]
    assert {path.name for path in pack.iterdir()} == {"pictures.bin", "index.npz"}


def test_a_pack_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not one usable face"):
        write_crop_pack(tmp_path / "p", [])
    with pytest.raises(DataError, match="no complete pack"):
        CropPack(tmp_path / "p")


def cut(name: str, share: float) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return damage


def older(folder: Path) -> None:
    with np.load(folder / "index.npz") as index:
        arrays = dict(index)
    np.savez(folder / "index.npz", **{**arrays, "schema": np.asarray("streamguard.pack/2")})


def without_a_column(folder: Path) -> None:
    with np.load(folder / "index.npz") as index:
        arrays = dict(index)
    del arrays["of_box"]
    np.savez(folder / "index.npz", **arrays)


def no_archive(folder: Path) -> None:
    with (folder / "index.npz").open("wb") as file:
        np.save(file, np.zeros(3))


def flipped(folder: Path) -> None:
    data = bytearray((folder / "index.npz").read_bytes())
    data[200:260] = bytes(60)
    (folder / "index.npz").write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut("pictures.bin", 0.8), "cut off or of another version"),
        (cut("pictures.bin", 0.0), "no complete pack"),
        (cut("index.npz", 0.5), "no complete pack"),
        (cut("index.npz", 0.0), "no complete pack"),
        (flipped, "no complete pack"),
        (lambda folder: (folder / "index.npz").write_bytes(b"no index" * 100), "no complete pack"),
        (lambda folder: (folder / "index.npz").unlink(), "no complete pack"),
        (lambda folder: (folder / "pictures.bin").unlink(), "no complete pack"),
        (no_archive, "no complete pack"),
        (older, "cut off or of another version"),
        (without_a_column, "cut off or of another version"),
    ],
)
def test_a_damaged_pack_is_refused(pack: Path, damage: Callable[[Path], object], words: str) -> None:
    damage(pack)
    with pytest.raises(DataError, match=words) as told:
        CropPack(pack)
    assert told.value.thing == str(pack)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"text"])
def test_a_damaged_picture_is_named(tmp_path: Path, data: bytes) -> None:
    write_crop_pack(tmp_path / "p", [replace(example(0), real=data), example(1)])
    opened = CropPack(tmp_path / "p")
    with pytest.raises(DataError, match=r"p, picture 0: cannot be decoded"):
        opened.picture(opened.real[0])
    assert opened.picture(opened.real[1]).any()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_crop_pack(tmp_path / "file" / "p", [example(0)])


def test_packs_of_a_folder(tmp_path: Path) -> None:
    write_packs(tmp_path)
    assert [str(pack.set[0]) for pack in train_packs(tmp_path)] == ["loose", "real", "swaps"]
    assert [str(pack.set[0]) for pack in open_packs(tmp_path / "train", ["swaps", "real"])] == ["real", "swaps"]
    # One that was broken off does not count; that its set is learned from without it would go unseen.
    (tmp_path / "train" / "swaps" / "index.npz").unlink()
    with pytest.raises(DataError, match="no pack of swaps"):
        open_packs(tmp_path / "train", ["swaps", "real"])
    with pytest.raises(DataError, match="no pack here"):
        open_packs(tmp_path)


def test_a_group_on_both_sides(tmp_path: Path) -> None:
    write_packs(tmp_path / "good")
    check_apart(train_packs(tmp_path / "good"), held_packs(tmp_path / "good"))
    write_packs(tmp_path / "bad", validation=("cid", "bob"))
    with pytest.raises(DataError, match="in training and in validation: bob"):
        check_apart(train_packs(tmp_path / "bad"), held_packs(tmp_path / "bad"))


def test_thinned(tmp_path: Path) -> None:
    write_packs(tmp_path, train=("ann", "bob", "cat", "dot"), validation=("eve",))
    loose = next(pack for pack in train_packs(tmp_path) if pack.set[0] == "loose")
    half = thinned(loose, 0.5)
    programs = [each.program for each in half]
    assert sorted(programs) == sorted(["Diffusion"] * 2 + ["Lips"] * 4 + ["recording"] * 2 + ["call"] * 2)
    assert len(thinned(loose, 0.001)) == 4
    assert [each.file for each in thinned(loose, 1.0)] == loose.file.tolist()
