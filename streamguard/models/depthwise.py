"""Depthwise convolution whose gradients are taken in the way that is fastest on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

Pair = tuple[int, int]


class _Depthwise(torch.autograd.Function):
    """`conv2d` of each channel by itself in bfloat16.

    oneDNN's bfloat16 gradients of 5 x 5 kernels and of strided ones take 4 to 12 times as long as they need (AVX-512,
    torch 2.13). So the picture's gradient of a strided one is taken in float32, and the gradient of a 5 x 5 kernel as
    those of the four 3 x 3 kernels in its corners.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, bias is not None
        narrow = None if bias is None else bias.to(x.dtype)
        return functional.conv2d(x, weight.to(x.dtype), narrow, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, biased = ctx.geometry
        given = gradients[0]
        wide = given.float() if stride > 1 else given
        of_x = _back(wide, x.to(wide.dtype), weight.to(wide.dtype), stride, padding, picture=True).to(x.dtype)
        if weight.shape[-1] == 5:
            of_weight = _by_corners(given, x, weight, stride, padding)
        else:
            of_weight = _back(given, x, weight.to(x.dtype), stride, padding, picture=False).to(weight.dtype)
        of_bias = given.float().sum((0, 2, 3)).to(weight.dtype) if biased else None
        return of_x, of_weight, of_bias, None, None


def _back(
    given: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int, *, picture: bool
) -> torch.Tensor:
    """The gradient of the picture, or of the kernel."""
    gradients = torch.ops.aten.convolution_backward(
        given, x, weight, None, (stride, stride), (padding, padding), (1, 1), False, (0, 0), len(weight),
        (picture, not picture, False),
    )  # fmt: skip
    found: torch.Tensor = gradients[0 if picture else 1]
    return found


def _by_corners(given: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    """The gradient of a 5 x 5 kernel."""
    if padding:
        x = functional.pad(x, (padding,) * 4)
    high, wide = (stride * (side - 1) + 3 for side in given.shape[-2:])
    kernel = weight[:, :, :3, :3].to(x.dtype)
    found = torch.empty_like(weight)
    for row in (0, 2):
        for column in (0, 2):
            seen = x[:, :, row : row + high, column : column + wide]
            found[:, :, row : row + 3, column : column + 3] = _back(given, seen, kernel, stride, 0, picture=False)
    return found


def depthwise(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, padding: int
) -> torch.Tensor:
    """A convolution of each channel by itself; but for its speed, `conv2d`.

    Args:
        x: float [N, C, H, W].
        weight: float [C, 1, K, K].
        bias: float [C].
        stride, padding: along height and width.
    """
    slow = x.device.type == "cpu" and torch.is_grad_enabled() and weight.requires_grad
    if slow and torch.is_autocast_enabled("cpu") and weight.shape[-1] in (3, 5):
        narrow = x.to(torch.get_autocast_dtype("cpu"))
        # torch leaves `apply` untyped
        return _Depthwise.apply(narrow, weight, bias, stride, padding)  # type: ignore[no-any-return, no-untyped-call]
    return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))
