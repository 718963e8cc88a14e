"""Turned, zoomed, sheared, mirrored and moved: a batch of affine warps."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from streamguard.training.batched.tensors import Chosen, column, indices
from streamguard.types import Float64Array


def sampling_grid(matrices: Float64Array, given: int, wanted: int, like: torch.Tensor) -> torch.Tensor:
    """float32 [N, wanted, wanted, 2] for `grid_sample` with aligned corners: where each output pixel comes from.

    Args:
        matrices: float64 [N, 2, 3], from input to output pixels, as `cv2.warpAffine` takes them.
        given, wanted: sides of the input and of the output in pixels.
        like: gives the device.
    """
    linear = np.linalg.inv(matrices[:, :, :2])
    offset = -(linear @ matrices[:, :, 2:])[:, :, 0]
    middle = np.full(2, (wanted - 1) / 2)
    scaled = linear * ((wanted - 1) / (given - 1))
    moved = 2 * (linear @ middle + offset) / (given - 1) - 1
    theta = column(np.concatenate([scaled, moved[:, :, None]], axis=2), like)
    return functional.affine_grid(theta, [len(matrices), 1, wanted, wanted], align_corners=True)


def sampled(pictures: torch.Tensor, grid: torch.Tensor, cubic: Chosen) -> torch.Tensor:
    """Pictures read at a grid's places; mirrored beyond their border.

    Args:
        pictures: float32 [N, C, S, S].
        grid: float32 [N, P, P, 2], see `sampling_grid`.
        cubic: which of them by Keys' cubic (a = -0.75); the others linear.
    """
    out = torch.empty(*pictures.shape[:2], *grid.shape[1:3], device=pictures.device)
    for mode, chosen in (("bilinear", ~cubic), ("bicubic", cubic)):
        if chosen.any():
            rows = indices(chosen, pictures)
            out = out.index_copy(0, rows, _read(pictures.index_select(0, rows), grid.index_select(0, rows), mode))
    return out


def nearest(masks: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """float32 [N, P, P]: masks [N, S, S] read at a grid's places, without values in between."""
    return _read(masks[:, None], grid, "nearest")[:, 0]


def _read(pictures: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    # With aligned corners the mirror stands on the centre of the last pixel: cv2's BORDER_REFLECT_101.
    return functional.grid_sample(pictures, grid, mode=mode, padding_mode="reflection", align_corners=True)
