"""Synthetic records for the evaluation tests."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord

CREATED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def frame(index: int = 0, *, score: float | None = 0.9, **more: object) -> FrameRecord:
    """A frame whose verdict follows its score, or one not judged when the score is None."""
    values: dict[str, object] = {"fake": None if score is None else score > 0.5}
    if score is None:
        values["reason"] = "too small"
    values.update(more)
    return FrameRecord(index=index, time=index / 10, score=score, **values)  # type: ignore[arg-type]


def clip(
    name: str, frames: list[FrameRecord], *, label: bool = True, set: str = "swaps", program: str = "", **more: object
) -> ClipRecord:
    """A clip of a person of its own, with usual picture properties."""
    values: dict[str, object] = {"group": name, "codec": "h264", "bit_rate": 800_000, **more}
    kind = program or ("swap" if label else "recording")
    return ClipRecord(name, set, kind, label=label, frames=tuple(frames), width=640, height=360, **values)  # type: ignore[arg-type]


def still(name: str, score: float | None, *, label: bool = True, **more: object) -> ClipRecord:
    """A picture."""
    values: dict[str, object] = {"codec": "", "bit_rate": None, **more}
    return clip(name, [frame(score=score)], label=label, **values)  # type: ignore[arg-type]


def evaluation(clips: list[ClipRecord], **more: object) -> Evaluation:
    """An evaluation of these clips."""
    return Evaluation("unet@0a1b", "torch", 0.5, tuple(clips), CREATED, **more)  # type: ignore[arg-type]


def random_evaluation(n: int = 20, frames: int = 60, *, seed: int = 0) -> Evaluation:
    """An evaluation of a fair detector: `n` clips, half of them fake, in three sets; one clip is never judged."""
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(n):
        label = index % 2 == 1
        drift = rng.normal(1.6 if label else -1.6, 1.1)
        rows = []
        for number in range(frames):
            score = float(1 / (1 + np.exp(-(drift + rng.normal(0, 0.8)))))
            judged = rng.random() > 0.08 and index != 4
            rows.append(
                frame(
                    number,
                    score=score if judged else None,
                    area=int(score * 9000) if judged and score > 0.5 else 0,
                    dice=float(np.clip(rng.normal(0.8, 0.1), 0, 1)) if label and judged else None,
                    ellipse=0.88 if label and judged else None,
                    looks={"blur": float(rng.normal()), "brightness": 90.0} if judged else {},
                    shorter_side=120.0 if judged else None,
                )
            )
        name = ("face swap", "talking head", "everyday <b>clips</b>")[index // 2 % 3]
        partner = f"clip-{index - 1:02d}" if label else ""
        clips.append(clip(f"clip-{index:02d}", rows, label=label, set=name, group=f"p{index // 2}", partner=partner))
    return evaluation(clips, notes=("Made-up scores: they show the page, not a detector.",))
