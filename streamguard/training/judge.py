"""Judge of an evaluation: a detector of ours, or somebody else's network in its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from streamguard.inference import select
from streamguard.models import LoadedModel, ModelSpec, load
from streamguard.pipeline.guard import Guard


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """An ONNX file and how it is to be used.

    Attributes:
        path: the file.
        layout: how it wants its pictures, as in `nchw-rgb-01`.
        mean, std: three numbers with commas between, or empty.
        output: `logit`, `probability`, `mask` or `mask-logit`.
        fake_class: which of two classes is the fake one, 0 or 1.
        threshold: its own probability above which a picture or pixel is fake, 0..1.
        margin: side of its crop as a multiple of the face box's longer side.
    """

    path: Path
    layout: str
    mean: str = ""
    std: str = ""
    output: str = "probability"
    fake_class: int = 1
    threshold: float = 0.5
    margin: float = 1.4


def open_guard(model: str, engine: str | None, onnx: OnnxNetwork | None = None, *, gated: bool = True) -> Guard:
    """The guard that judges.

    Args:
        model: a detector's name or folder. With `onnx` it gives its quality gate alone, so that both are judged on the
            same faces.
        engine: what runs the detector; None takes the best.
        onnx: the network in the detector's place.
        gated: hold faces against the quality gate's size and sharpness.

    Raises:
        ModelError, ConfigError, EngineError: the detector, the network or the engine cannot be used.
    """
    own = load(model)
    if onnx is not None:
        return _foreign(onnx, own.spec, gated)
    loaded = LoadedModel(own.spec if gated else _ungated(own.spec), own.network)
    selected = select(loaded, engine)
    return Guard(loaded, selected.engine, label=selected.manifest.label)


def _foreign(onnx: OnnxNetwork, like: ModelSpec, gated: bool) -> Guard:
    from streamguard.inference.onnx_engine import OnnxEngine, onnx_model
    from streamguard.inference.onnx_layout import parse_layout, parse_meaning

    meaning = parse_meaning(onnx.output)
    layout = parse_layout(onnx.layout, onnx.mean, onnx.std)
    limits = like if gated else _ungated(like)
    model = onnx_model(onnx.path, meaning, limits, threshold=onnx.threshold, margin=onnx.margin)
    return Guard(model, OnnxEngine(onnx.path, layout, meaning, fake=onnx.fake_class))


def _ungated(spec: ModelSpec) -> ModelSpec:
    return replace(spec, smallest_face=0.0, least_sharpness=0.0)
