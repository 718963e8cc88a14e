"""The networks as OpenVINO graphs, written operation by operation from their weights.

It takes half a second and no PyTorch, where an export of the same network takes five and a start of PyTorch two. Norms
over the batch are taken into the convolutions before them. That the graph answers as the network does is checked
before it is used, like every engine's work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamguard.errors import EngineFailed
from streamguard.models import ModelSpec
from streamguard.models.efficientnet_stages import CHANNELS, NORM_EPSILON, STAGES, Stage
from streamguard.models.spec import Weights, unfitting_weights
from streamguard.openvino_runtime import openvino

_EPSILON = 1e-5
"""PyTorch's of a norm, where the network names no other."""


def openvino_graph(spec: ModelSpec, weights: Weights) -> Any:
    """The whole graph: uint8 [N, size, size, 3] RGB -> probability float32 [N, size, size], N free.

    Args:
        spec: names the architecture, the side of the crops and their normalisation.
        weights: float32, by the names of the network's state.

    Raises:
        CorruptWeights: a weight is missing, left over or of another shape.
        EngineFailed: the architecture is not known here.
    """
    write = _Writer(weights)
    ops, size = write.ops, spec.size
    crops = ops.parameter([-1, size, size, 3], np.uint8, name="crops")
    picture = ops.transpose(ops.convert(crops, "f32"), np.array([0, 3, 1, 2]))
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    picture = ops.add(ops.multiply(picture, 1 / (255 * std)), -mean / std)
    prefixes = [f"members.{number}." for number in range(spec.members)] if spec.members > 1 else [""]
    try:
        if spec.architecture == "unet_lite0":
            side = spec.working_side if 0 < spec.working_side < size else size
            small = picture if side == size else write.resized(picture, side)
            logits = write.mean([_unet_lite0(write.within(prefix), small) for prefix in prefixes])
            logits = write.enlarged(logits, side // 2, size)
        elif spec.architecture == "unet":
            logits = write.mean([_unet(write.within(prefix), spec, picture) for prefix in prefixes])
        else:
            raise EngineFailed("openvino", f"no graph is written for {spec.architecture!r}", "use the torch engine")
    except (KeyError, RuntimeError, ValueError) as error:
        raise unfitting_weights(spec) from error
    heads = [weights[f"{prefix}head.weight"].shape for prefix in prefixes]
    if any(head != (1, spec.features, 1, 1) for head in heads) or any(
        name not in write.used and not name.endswith(".num_batches_tracked") for name in weights
    ):
        raise unfitting_weights(spec)
    probability = ops.squeeze(ops.sigmoid(logits), np.array([1]))
    return openvino().Model([probability], [crops], spec.name)


class _Writer:
    """Operations with the weights of a part of the network.

    Args:
        weights: of the whole network.
        prefix: the part's names begin with it.

    Attributes:
        used: names of the weights that were asked for, of the whole network.
    """

    def __init__(self, weights: Weights, prefix: str = "", used: set[str] | None = None) -> None:
        # The package itself is imported without its usage reports, before anything of it.
        openvino()
        import openvino.opset13 as ops

        self.ops: Any = ops
        self.used = set() if used is None else used
        self._weights, self._prefix = weights, prefix

    def within(self, prefix: str) -> _Writer:
        return _Writer(self._weights, self._prefix + prefix, self.used)

    def weight(self, name: str) -> NDArray[np.float32]:
        self.used.add(self._prefix + name)
        return self._weights[self._prefix + name]

    def convolution(
        self,
        x: Any,
        name: str,
        norm: str = "",
        *,
        stride: int = 1,
        pads: tuple[int, int] = (0, 0),
        depthwise: bool = False,
        epsilon: float = _EPSILON,
    ) -> Any:
        """The convolution `name`, and the norm over the batch behind it."""
        kernel, bias = self.weight(f"{name}.weight"), None
        if norm:
            scale = self.weight(f"{norm}.weight") / np.sqrt(self.weight(f"{norm}.running_var") + epsilon)
            bias = self.weight(f"{norm}.bias") - self.weight(f"{norm}.running_mean") * scale
            kernel = kernel * scale.reshape(-1, 1, 1, 1)
        elif f"{self._prefix}{name}.bias" in self._weights:
            bias = self.weight(f"{name}.bias")
        before, after = ([pad, pad] for pad in pads)
        if depthwise:
            grouped = kernel.reshape(len(kernel), 1, 1, *kernel.shape[2:])
            x = self.ops.group_convolution(x, grouped, [stride] * 2, before, after, [1, 1])
        else:
            x = self.ops.convolution(x, kernel, [stride] * 2, before, after, [1, 1])
        return x if bias is None else self.ops.add(x, bias.reshape(1, -1, 1, 1))

    def resized(self, x: Any, side: int) -> Any:
        """Bilinear, to squares of `side` pixels."""
        return self.ops.interpolate(x, np.array([side, side]), "linear_onnx", "sizes", axes=np.array([2, 3]))

    def doubled(self, x: Any) -> Any:
        """Bilinear, to twice the side."""
        scales = np.array([2, 2], np.float32)
        return self.ops.interpolate(x, scales, "linear_onnx", "scales", axes=np.array([2, 3]))

    def enlarged(self, logits: Any, side: int, size: int) -> Any:
        """Bilinear, from `side` to `size`, as two small products of matrices.

        OpenVINO's own interpolation takes up to sixteen channels at a time, and a plane of logits is one: it spends a
        seventh of the whole network's time on that step, where the products spend a hundredth.
        """
        place = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
        low = np.minimum(place.astype(int), side - 2)
        matrix = np.zeros((size, side), np.float32)
        matrix[np.arange(size), low] = 1 - (place - low)
        matrix[np.arange(size), low + 1] = place - low
        return self.ops.matmul(self.ops.matmul(matrix, logits, False, False), matrix, False, True)

    def mean(self, logits: list[Any]) -> Any:
        whole = logits[0]
        for other in logits[1:]:
            whole = self.ops.add(whole, other)
        return self.ops.multiply(whole, np.float32(1 / len(logits))) if len(logits) > 1 else whole


def _unet_lite0(write: _Writer, x: Any) -> Any:
    """See `models.unet_lite0`; coarse logits at half the picture's side."""
    ops, skips = write.ops, []
    for number, stages in enumerate(_lite_stages()):
        part = write.within(f"encoders.{number}.")
        place = 0
        if number == 0:
            x = ops.clamp(part.convolution(x, "0", "1", stride=2, pads=(0, 1), epsilon=NORM_EPSILON), 0, 6)
            place = 3
        for stage in stages:
            for block in range(stage.blocks):
                stride = stage.stride if block == 0 else 1
                x = _inverted_residual(
                    part.within(f"{place}.body."), x, stage.expand, stage.kernel, stride, shortcut=block > 0
                )
                place += 1
        skips.append(x)
    skips.pop()
    for number in range(len(CHANNELS) - 1):
        x = ops.concat([skips.pop(), write.doubled(x)], 1)
        x = ops.relu(write.convolution(x, f"decoders.{number}.0", f"decoders.{number}.1", pads=(1, 1)))
    return write.convolution(x, "head")


def _lite_stages() -> list[list[Stage]]:
    """The stages of each encoder, which begin where the side is halved; the stem is before the first."""
    encoders: list[list[Stage]] = [[]]
    for stage in STAGES:
        if stage.stride == 2:
            encoders.append([])
        encoders[-1].append(stage)
    return encoders


def _inverted_residual(write: _Writer, x: Any, expand: int, kernel: int, stride: int, *, shortcut: bool) -> Any:
    ops, inputs, place = write.ops, x, 0
    if expand > 1:
        x = ops.clamp(write.convolution(x, "0", "1", epsilon=NORM_EPSILON), 0, 6)
        place = 3
    missing = kernel - stride
    pads = (missing // 2, missing - missing // 2)
    x = write.convolution(x, f"{place}", f"{place + 1}", stride=stride, pads=pads, depthwise=True, epsilon=NORM_EPSILON)
    x = write.convolution(ops.clamp(x, 0, 6), f"{place + 3}", f"{place + 4}", epsilon=NORM_EPSILON)
    return ops.add(x, inputs) if shortcut else x


def _unet(write: _Writer, spec: ModelSpec, x: Any) -> Any:
    """See `models.unet`."""
    ops, skips = write.ops, []
    for step in range(spec.steps):
        if step:
            x = ops.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)
        x = _double_convolution(write.within(f"encoders.{step}."), x, in_picture=step < spec.picture_norms)
        skips.append(x)
    skips.pop()
    for step in range(spec.steps - 1):
        kernel, bias = write.weight(f"upsamplers.{step}.weight"), write.weight(f"upsamplers.{step}.bias")
        x = ops.add(ops.convolution_backprop_data(x, kernel, [2, 2]), bias.reshape(1, -1, 1, 1))
        x = ops.concat([skips.pop(), x], 1)
        x = _double_convolution(write.within(f"decoders.{step}."), x, in_picture=False)
    return write.convolution(x, "head")


def _double_convolution(write: _Writer, x: Any, *, in_picture: bool) -> Any:
    ops = write.ops
    for place in (0, 3):
        if in_picture:
            x = write.convolution(x, f"{place}", pads=(1, 1))
            scale, shift = write.weight(f"{place + 1}.weight"), write.weight(f"{place + 1}.bias")
            # A group norm of one channel a group: one operation to every compiler.
            x = ops.group_normalization(x, scale, shift, len(scale), _EPSILON)
        else:
            x = write.convolution(x, f"{place}", f"{place + 1}", pads=(1, 1))
        x = ops.relu(x)
    return x
