"""ONNX files small enough for a test: they know green, as `portraits.green_detector` does, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Kind = Literal["logit", "logits", "probability", "mask", "mask-logit"]


def green_network(
    path: Path,
    kind: Kind = "logit",
    *,
    channels_first: bool = True,
    top: float = 1.0,
    size: int | None = 64,
    batch: int | None = None,
    slope: float = 400.0,
    channels: int = 3,
) -> Path:
    """A network whose answer rises with the share of green in the middle of its picture.

    Args:
        path: the file.
        kind: a logit [N, 1], two of them [N, 2] (real, fake), a probability [N, 1], or a map [N, 1, H, W].
        channels_first: takes [N, 3, H, W], else [N, H, W, 3].
        top: what white is.
        size: side of the picture; None leaves it free.
        batch: pictures at a time; None leaves it free.
        slope: of the logit over the mean of G - (R + B) / 2, which is about 0.03 in a green face's crop.
        channels: colours that it takes.
    """
    n, side = batch or "n", size or "s"
    shape: list[Any] = [n, channels, side, side] if channels_first else [n, side, side, channels]
    weights = np.zeros((1, channels, 1, 1), np.float32)
    weights[0, :3, 0, 0] = np.float32([-0.5, 1.0, -0.5])[:channels] / np.float32(top)
    nodes, last = [], "x"

    def then(kind: str, *others: str, **options: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(kind, [last, *others], [f"t{len(nodes)}"], **options))
        last = f"t{len(nodes) - 1}"

    constants = {"w": weights, "slope": np.float32([slope]), "offset": np.float32([-0.015 * slope])}
    if not channels_first:
        then("Transpose", perm=[0, 3, 1, 2])
    then("Conv", "w")
    if kind.startswith("mask"):
        constants["slope"], constants["offset"] = np.float32([40.0]), np.float32([-4.0])
        then("Mul", "slope")
        then("Add", "offset")
    else:
        then("GlobalAveragePool")
        then("Flatten")
        then("Mul", "slope")
        then("Add", "offset")
    if kind in {"probability", "mask"}:
        then("Sigmoid")
    if kind == "logits":
        one = last
        then("Neg")
        nodes.append(helper.make_node("Concat", [last, one], ["both"], axis=1))
        last = "both"
    graph = helper.make_graph(
        nodes,
        "green",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))
    return path
