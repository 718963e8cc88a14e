"""The pack of faces rendered again: teaches the networks, and has them render the training faces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save

from streamguard.errors import DataError
from streamguard.files import write_bytes, write_text
from streamguard.training.config import RerenderTable, TrainConfig
from streamguard.training.pack import Pack, Triple, write_pack
from streamguard.training.prepare import send_together
from streamguard.training.rerender.autoencoder import FaceAutoencoder
from streamguard.training.rerender.fake import Rerenderer
from streamguard.training.rerender.teach import Teacher
from streamguard.training.sampler import Packs, Sampler, open_packs
from streamguard.types import FloatArray, UInt8Array

PACK, NETWORKS, MADE_FROM = "rerendered", "renderers", "made_from.json"


def make_rerendered(config: TrainConfig, folder: Path, advance: Callable[[str, int, int], None]) -> int:
    """Write the pack `rerendered` below `folder`, made of the training packs there; a complete one is kept.

    The networks that were taught lie in `renderers`; those that are finished are kept, too.

    Args:
        config: with its table `rerender`.
        folder: of the packs.
        advance: called with what is being made, done and in all.

    Returns the number of triples that were made now.

    Raises:
        DataError: there is no training pack, the pack cannot be written, or it was made with other settings.
        OutputError: a network cannot be written.
        ConfigError: the ImageNet weights, by which the networks are taught, are not installed.
    """
    table = config.rerender
    assert table is not None
    made_from = json.dumps(table.model_dump(mode="json"), indent=1) + "\n"
    origin = folder / NETWORKS / MADE_FROM
    if origin.is_file() and origin.read_text() != made_from:
        raise DataError(
            str(folder / PACK), "it was made with other settings", f"remove that folder and {folder / NETWORKS}"
        )
    if (folder / PACK / "index.json").is_file():
        return 0
    packs = open_packs(folder)
    faces = _Faces(packs, table.pair_share)
    origin.parent.mkdir(parents=True, exist_ok=True)
    write_text(origin, made_from)
    networks = [_network(table, number, faces, origin.parent, advance) for number in range(len(table.networks))]
    triples = _triples(networks, faces, Sampler(_plain(config), packs), table, advance)
    return write_pack(folder / PACK, triples, table.triples)


class _Faces:
    """Draws real faces of the training packs."""

    def __init__(self, packs: Packs, pair_share: float) -> None:
        self._pairs, self._others, self._share = packs.pairs, packs.selfblend, pair_share

    def which(self, random: np.random.Generator) -> tuple[Pack, int]:
        of_pairs = self._pairs is not None and (self._others is None or random.random() < self._share)
        pack = self._pairs if of_pairs else self._others
        assert pack is not None
        return pack, int(random.integers(len(pack)))

    def face(self, random: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
        pack, index = self.which(random)
        return np.array(pack.real[index]), np.array(pack.landmarks[index])


def _network(
    table: RerenderTable, number: int, faces: _Faces, folder: Path, advance: Callable[[str, int, int], None]
) -> FaceAutoencoder:
    wanted, path = table.networks[number], folder / f"{number}.safetensors"
    if path.is_file():
        network = FaceAutoencoder(wanted)
        network.load_state_dict(load_file(path))
        return network
    name = f"renderer {number + 1} ({wanted.upsampling})"
    course = Teacher(wanted, wanted.steps, table.seed + number, faces.face)
    network = course.run(lambda step, _: advance(name, step, wanted.steps))
    write_bytes(path, save({key: value.contiguous() for key, value in network.state_dict().items()}))
    return network


def _triples(
    networks: list[FaceAutoencoder],
    faces: _Faces,
    sampler: Sampler,
    table: RerenderTable,
    advance: Callable[[str, int, int], None],
) -> Iterator[Triple]:
    def donor(real: UInt8Array, landmarks: FloatArray, random: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
        found = sampler.donor(real, landmarks, random)
        return found.pixels, found.landmarks

    maker = Rerenderer(networks, donor, table.donor_share)
    for number in range(table.triples):
        random = np.random.default_rng([table.seed, number])
        pack, index = faces.which(random)
        landmarks, entry = np.array(pack.landmarks[index]), pack.entries[index]
        made = maker.pair(np.array(pack.real[index]), landmarks, random)
        real, fake = send_together(made.real, made.fake, random)
        advance(f"pack {PACK}", number + 1, table.triples)
        yield Triple(real, fake, made.mask, entry.person, entry.clip, PACK, landmarks)


def _plain(config: TrainConfig) -> TrainConfig:
    """The same without what is not there yet; other people's faces are real ones."""
    none = {"rerendered_share": 0.0, "swapped_donor_share": 0.0}
    return config.model_copy(update={"train": config.train.model_copy(update=none)})
