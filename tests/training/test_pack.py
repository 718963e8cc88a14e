"""Packs: whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.training.pack import PACK_SIZE, Pack, Triple, write_pack
from tests.support.training_data import triple


def test_round_trip(tmp_path: Path) -> None:
    triples = [triple(0, "ann"), triple(1, "bob", "selfblend")]
    assert write_pack(tmp_path / "p", triples, 5) == 2
    pack = Pack(tmp_path / "p")
    assert len(pack) == 2
    assert pack.persons() == {"ann", "bob"}
    assert [(e.person, e.clip, e.kind) for e in pack.entries] == [(t.person, t.clip, t.kind) for t in triples]
    for index, each in enumerate(triples):
        assert (pack.real[index] == each.real).all()
        assert (pack.fake[index] == each.fake).all()
        assert (pack.mask[index] == each.mask).all()
        assert (pack.landmarks[index] == each.landmarks).all()


def test_no_more_than_the_capacity_is_taken(tmp_path: Path) -> None:
    drawn = 0

    def endless() -> Iterator[Triple]:
        nonlocal drawn
        while True:
            drawn += 1
            yield triple(drawn % 3, "ann")

    assert write_pack(tmp_path / "p", endless(), 3) == 3
    assert drawn == 3
    assert Pack(tmp_path / "p").real.shape == (3, PACK_SIZE, PACK_SIZE, 3)


def test_an_empty_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not one usable face"):
        write_pack(tmp_path / "p", [], 3)
    with pytest.raises(DataError, match="no complete pack"):
        Pack(tmp_path / "p")


def test_a_broken_off_pack_is_no_pack_and_is_written_again(tmp_path: Path) -> None:
    def broken() -> Iterator[Triple]:
        yield triple(0, "ann")
        raise KeyboardInterrupt

    write_pack(tmp_path / "p", [triple(0, "old")], 1)
    with pytest.raises(KeyboardInterrupt):
        write_pack(tmp_path / "p", broken(), 3)
    with pytest.raises(DataError, match="no complete pack"):
        Pack(tmp_path / "p")
    write_pack(tmp_path / "p", [triple(0, "new")], 1)
    assert Pack(tmp_path / "p").persons() == {"new"}


@pytest.mark.parametrize("name", ["real.npy", "fake.npy", "mask.npy", "index.json"])
def test_a_missing_or_damaged_part_is_refused(tmp_path: Path, name: str) -> None:
    write_pack(tmp_path / "p", [triple(0, "ann")], 1)
    part = tmp_path / "p" / name
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(DataError, match="no complete pack"):
        Pack(tmp_path / "p")
    part.unlink()
    with pytest.raises(DataError, match="no complete pack"):
        Pack(tmp_path / "p")


def test_another_version_is_refused(tmp_path: Path) -> None:
    write_pack(tmp_path / "p", [triple(0, "ann")], 1)
    index = tmp_path / "p" / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "schema": "streamguard.pack/0"}))
    with pytest.raises(DataError, match="another version"):
        Pack(tmp_path / "p")


def test_a_folder_that_cannot_be_made_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_pack(tmp_path / "file" / "p", [triple(0, "ann")], 1)


def test_pixels_are_read_only(tmp_path: Path) -> None:
    write_pack(tmp_path / "p", [triple(0, "ann")], 1)
    with pytest.raises(ValueError, match="read-only"):
        Pack(tmp_path / "p").real[0] = np.uint8(0)
