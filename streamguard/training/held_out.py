"""Held-out crops by set, and what a network reaches on them: for learning curves and for the choice of thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from streamguard.models import LoadedModel
from streamguard.models.engine_graph import EngineGraph
from streamguard.training.drawing import live_crop, live_mask
from streamguard.training.evaluation.metrics import auc
from streamguard.training.pack import CropPack
from streamguard.types import UInt8Array
from streamguard.verdict import raw_score

BATCH = 16


@dataclass(frozen=True, slots=True)
class SetFigures:
    """Figures of a network on one set.

    Attributes:
        auc: of its fakes against its real faces, or against all real faces where it has none.
        within: how often a fake is above the real picture that it was made from; None where it has none.
        dice: over both halves of registered pairs, at 0.5; None where there are none.
        fakes, reals: how many.
    """

    auc: float | None
    within: float | None
    dice: float | None
    fakes: int
    reals: int


@dataclass(frozen=True, slots=True)
class HeldCrop:
    """One crop as it is live.

    Attributes:
        pixels: uint8 [256, 256, 3].
        mask: uint8 [256, 256], 1 where fake; None where it is not known.
        fake: its label.
        group, set, program, file: as in the manifest.
        pair: number of the real crop that a fake is registered with; -1 for none.
    """

    pixels: UInt8Array
    mask: UInt8Array | None
    fake: bool
    group: str
    set: str
    program: str
    file: str
    pair: int


class HeldOutCrops:
    """Crops of packs, evenly taken, as the live guard would cut them.

    Args:
        packs: of the validation side.
        margin: side of the crop as a multiple of the face box's longer side.
        most: examples of each set and program at the most.
        sets: those wanted; empty: all.
    """

    def __init__(self, packs: Sequence[CropPack], margin: float, most: int = 120, sets: Sequence[str] = ()) -> None:
        self.crops: list[HeldCrop] = []
        for pack in packs:
            kinds = sorted(set(zip(pack.set.tolist(), pack.program.tolist(), strict=True)))
            placed: dict[tuple[int, int], int] = {}
            for name, program in kinds:
                if sets and name not in sets:
                    continue
                numbers = np.flatnonzero((pack.set == name) & (pack.program == program))
                for number in numbers[np.unique(np.linspace(0, len(numbers) - 1, most).astype(int))]:
                    self._add(pack, int(number), margin, placed)

    def _add(self, pack: CropPack, number: int, margin: float, placed: dict[tuple[int, int], int]) -> None:
        box = pack.box[number]

        def crop(picture: int, mask: UInt8Array | None, fake: bool, pair: int) -> int:
            pixels = live_crop(pack.picture(picture), box, margin)
            group, set_, program, file = (
                str(column[number]) for column in (pack.group, pack.set, pack.program, pack.file)
            )
            self.crops.append(HeldCrop(pixels, mask, fake, group, set_, program, file, pair))
            return len(self.crops) - 1

        pair = -1
        if (real := int(pack.real[number])) >= 0:
            # Several fakes share a real picture, each with its own box.
            key = real, round(float(box.sum()))
            if key not in placed:
                placed[key] = crop(real, None, False, -1)
            pair = placed[key]
        if (fake := int(pack.fake[number])) >= 0:
            mask = None
            if pack.mask[number] >= 0:
                mask = live_mask(pack.mask_of(int(pack.mask[number])), box, margin)
            crop(fake, mask, True, pair)

    def maps(self, model: LoadedModel) -> list[UInt8Array]:
        """The network's answer to every crop, uint8 [256, 256]."""
        graph = EngineGraph(model.spec, model.network).eval()
        answers: list[UInt8Array] = []
        with torch.inference_mode():
            for start in range(0, len(self.crops), BATCH):
                pixels = np.stack([crop.pixels for crop in self.crops[start : start + BATCH]])
                answers += list(np.round(graph(torch.from_numpy(pixels)).numpy() * 255).astype(np.uint8))
        return answers

    def measure(self, model: LoadedModel) -> dict[str, SetFigures]:
        """Figures by set, and by `set/program` of sets with several programs."""
        maps = self.maps(model)
        scores = np.array([raw_score(each) for each in maps])
        fake = np.array([crop.fake for crop in self.crops], dtype=bool)
        sets = np.array([crop.set for crop in self.crops])
        programs = np.array([crop.program for crop in self.crops])
        figures = {}
        # Plain strings: the figures travel in the checkpoint, which is read without running any code of it.
        for name in sorted(set(sets[fake].tolist())):
            figures[name] = self._figures(maps, scores, (sets == name) & fake, sets == name)
            kinds = sorted(set(programs[(sets == name) & fake].tolist()))
            if len(kinds) > 1:
                for kind in kinds:
                    chosen = (sets == name) & (programs == kind) & fake
                    figures[f"{name}/{kind}"] = self._figures(maps, scores, chosen, sets == name)
        return figures

    def _figures(self, maps: list[UInt8Array], scores: np.ndarray, fakes: np.ndarray, same: np.ndarray) -> SetFigures:
        labels = np.array([crop.fake for crop in self.crops], dtype=bool)
        reals = ~labels & same if (~labels & same).any() else ~labels
        chosen = fakes | reals
        pairs = [(n, self.crops[n].pair) for n in np.flatnonzero(fakes) if self.crops[n].pair >= 0]
        dices = []
        for number in np.flatnonzero(fakes):
            crop = self.crops[number]
            if crop.mask is None or crop.pair < 0:
                continue
            marked = maps[number] > 127
            truth = crop.mask > 0
            dices.append(2 * float((marked & truth).sum()) / max(1.0, float(marked.sum() + truth.sum())))
            dices.append(float(not (maps[crop.pair] > 127).any()))
        return SetFigures(
            auc=auc(scores[chosen], labels[chosen]),
            within=float(np.mean([scores[a] > scores[b] for a, b in pairs])) if pairs else None,
            dice=float(np.mean(dices)) if dices else None,
            fakes=int(fakes.sum()),
            reals=int(reals.sum()),
        )
