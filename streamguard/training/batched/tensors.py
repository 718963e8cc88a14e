"""Small helpers between drawn parameters (numpy, host) and pictures (torch, device)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

Chosen = NDArray[np.bool_]
"""bool [N]: the rows of a batch that something is done to. Known on the host, so the device is never waited for."""


def column(values: NDArray[np.generic], like: torch.Tensor, dims: int = 0) -> torch.Tensor:
    """Drawn values as float32 on the device of `like`, with `dims` axes of one behind."""
    tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return tensor.to(like.device, non_blocking=True)[(..., *[None] * dims)]


def indices(chosen: Chosen, like: torch.Tensor) -> torch.Tensor:
    """int64 [K]: the numbers of the chosen rows, on the device of `like`."""
    return torch.from_numpy(np.flatnonzero(chosen)).to(like.device, non_blocking=True)


def on_rows(pictures: torch.Tensor, chosen: Chosen, change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The batch with its chosen rows replaced by `change` of them; the others cost nothing."""
    if not chosen.any():
        return pictures
    if chosen.all():
        return change(pictures)
    rows = indices(chosen, pictures)
    return pictures.index_copy(0, rows, change(pictures.index_select(0, rows)))


def whole_levels(pictures: torch.Tensor) -> torch.Tensor:
    """Rounded to whole grey levels 0..255, as every picture file and frame is."""
    return pictures.round().clamp(0, 255)


def pixel_grid(size: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 [1, size, size] twice: x and y of every pixel's centre, whole numbers."""
    at = torch.arange(size, device=like.device, dtype=torch.float32)
    return at[None, None, :].expand(1, size, size), at[None, :, None].expand(1, size, size)
