"""Depthwise convolution whose gradients are taken in float32 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

Pair = tuple[int, int]


class _Depthwise(torch.autograd.Function):
    """The forward pass in the picture's precision, both gradients in float32."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding
        return functional.conv2d(x, weight.to(x.dtype), None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(), x.float(), weight.float(), None, stride, padding, (1, 1), False, (0, 0), len(weight),
            (True, True, False),
        )  # fmt: skip
        return of_x.to(x.dtype), of_weight.to(weight.dtype), None, None


def depthwise(x: torch.Tensor, weight: torch.Tensor, stride: Pair, padding: Pair) -> torch.Tensor:
    """A convolution of each channel by itself.

    On a CPU, oneDNN's bfloat16 gradients of 5 x 5 kernels and of strided ones take 4 to 12 times as long as its
    float32 ones (AVX-512, torch 2.13); everywhere else this is `conv2d`.

    Args:
        x: float [N, C, H, W].
        weight: float [C, 1, K, K].
        stride, padding: along height and width.
    """
    slow = x.device.type == "cpu" and torch.is_grad_enabled() and weight.requires_grad
    if slow and torch.is_autocast_enabled("cpu"):
        narrow = x.to(torch.get_autocast_dtype("cpu"))
        # torch leaves `apply` untyped
        return _Depthwise.apply(narrow, weight, stride, padding)  # type: ignore[no-any-return, no-untyped-call]
    return functional.conv2d(x, weight, None, stride, padding, groups=len(weight))
