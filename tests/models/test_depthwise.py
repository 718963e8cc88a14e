"""A depthwise convolution is a convolution, its gradients included."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from streamguard.models.depthwise import depthwise


def gradients(
    dtype: torch.dtype, kernel: int, stride: int, plain: bool, padded: bool = True
) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(kernel)
    x = torch.randn(2, 12, 14, 13, requires_grad=True)
    weight = torch.randn(12, 1, kernel, kernel, requires_grad=True)
    bias = torch.randn(12, requires_grad=True)
    padding = kernel // 2 if padded else 0
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        y = (
            functional.conv2d(x, weight, bias, stride, padding, groups=12)
            if plain
            else depthwise(x, weight, bias, stride, padding)
        )
    assert y.dtype == dtype
    y.float().square().sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert x.grad is not None
    assert weight.grad is not None
    assert bias.grad is not None
    return y.detach().float(), x.grad, weight.grad, bias.grad


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_the_convolution_of_torch(dtype: torch.dtype, kernel: int, stride: int, padded: bool) -> None:
    exact = gradients(torch.float32, kernel, stride, plain=True, padded=padded)
    ours = gradients(dtype, kernel, stride, plain=False, padded=padded)
    for one, two in zip(exact, ours, strict=True):
        assert two.dtype == torch.float32
        assert float((one - two).abs().max() / one.abs().max()) < (1e-5 if dtype == torch.float32 else 0.02)


def test_gradients_in_bfloat16_are_about_as_exact_as_torchs() -> None:
    for kernel, stride in ((3, 2), (5, 1)):
        exact, theirs = (gradients(dtype, kernel, stride, plain=True) for dtype in (torch.float32, torch.bfloat16))
        ours = gradients(torch.bfloat16, kernel, stride, plain=False)
        for true, one, two in zip(exact, ours, theirs, strict=True):
            assert float((true - one).abs().mean()) <= 1.1 * float((true - two).abs().mean())
