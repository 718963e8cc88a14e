"""Synthetic records for the evaluation tests."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord

CREATED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def frame(index: int = 0, *, label: bool | None = True, score: float | None = 0.9, **more: object) -> FrameRecord:
    """A frame whose verdict follows its score, or one not judged when the score is None."""
    values: dict[str, object] = {"fake": None if score is None else score > 0.5}
    if score is None:
        values["reason"] = "too small"
    values.update(more)
    return FrameRecord(index=index, time=index / 10, label=label, score=score, **values)  # type: ignore[arg-type]


def clip(name: str, frames: list[FrameRecord], *, label: bool = True, group: str = "swap") -> ClipRecord:
    """A clip with usual picture properties."""
    return ClipRecord(name, group, label, tuple(frames), 640, 360, "h264", 800_000)


def evaluation(clips: list[ClipRecord], **more: object) -> Evaluation:
    """An evaluation of these clips."""
    return Evaluation("unet@0a1b", "torch", 0.5, tuple(clips), CREATED, **more)  # type: ignore[arg-type]


def random_evaluation(n: int = 20, frames: int = 60, *, seed: int = 0) -> Evaluation:
    """An evaluation of a fair detector: `n` clips, half of them fake, in three groups; one clip is never judged."""
    rng = np.random.default_rng(seed)
    clips = []
    for index in range(n):
        label = index % 2 == 1
        drift = rng.normal(1.6 if label else -1.6, 1.1)
        rows = []
        for number in range(frames):
            score = float(1 / (1 + np.exp(-(drift + rng.normal(0, 0.8)))))
            judged = rng.random() > 0.08 and index != 4
            dice = float(np.clip(rng.normal(0.8, 0.1), 0, 1)) if label else float(score < 0.5)
            rows.append(
                frame(
                    number,
                    label=label,
                    score=score if judged else None,
                    raw=float(drift) if judged else None,
                    area=int(score * 9000) if judged else 0,
                    dice=dice if judged else None,
                    iou=dice / (2 - dice) if judged else None,
                    ellipse_dice=0.88 if label else 0.0,
                    ellipse_iou=0.79 if label else 0.0,
                    baselines={"blur": float(rng.normal()), "picture size": 640.0 * 360},
                    face_size=120.0,
                )
            )
        group = ("face swap", "talking head", "everyday <b>clips</b>")[index % 3]
        clips.append(clip(f"clip-{index:02d}", rows, label=label, group=group))
    return evaluation(clips, notes=("Made-up scores: they show the page, not a detector.",))
