"""Blur and change of size as one operation: every row and every column times a matrix, another one for each picture.

Such a product is what a GPU does best, and pictures of a batch may differ in the width of their blur and in the size
they are brought to. A picture that became smaller lies in the upper left corner of its canvas; the rest repeats its
last row and column, as an encoder pads a picture to whole blocks.
"""

from __future__ import annotations

import torch


def separable(pictures: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """The matrix along both axes.

    Args:
        pictures: float32 [N, C, S, S].
        matrix: float32 [N, S, S]; row `i` holds what every input pixel counts in output pixel `i`.
    """
    count, channels, size, _ = pictures.shape
    across = (pictures.reshape(count, channels * size, size) @ matrix.mT).view(count, channels, size, size)
    stacked = across.transpose(1, 2).reshape(count, size, channels * size)
    return (matrix @ stacked).view(count, size, channels, size).transpose(1, 2)


def gaussian(sigma: torch.Tensor, size: int) -> torch.Tensor:
    """float32 [N, size, size]: a Gaussian blur; beyond the border the picture is mirrored about its last pixel.

    Args:
        sigma: float32 [N], pixels, > 0 and well below `size`.
        size: side of the pictures.
    """
    at = torch.arange(size, device=sigma.device, dtype=torch.float32)
    out, given = at[:, None], at[None, :]
    last = size - 1
    # The first and last pixel are the mirrors themselves and have no second image.
    mirrored = (((out + given), given > 0), ((out - (2 * last - given)), given < last))
    spread = -0.5 / sigma[:, None, None].square()
    weight = (spread * (out - given).square()).exp()
    for distance, there in mirrored:
        weight = weight + (spread * distance.square()).exp() * there
    return weight / weight.sum(dim=2, keepdim=True)


def shrink(sizes: torch.Tensor, size: int) -> torch.Tensor:
    """float32 [N, size, size]: to smaller sizes, each new pixel the mean of the area it covers (cv2's INTER_AREA).

    Args:
        sizes: float32 [N], whole numbers 1..size.
        size: side of the pictures and of the canvas.
    """
    at = torch.arange(size, device=sizes.device, dtype=torch.float32)
    span = (size / sizes)[:, None, None]
    start = torch.minimum(at[None, :, None], sizes[:, None, None] - 1) * span
    overlap = torch.minimum(start + span, at + 1) - torch.maximum(start, at)
    return overlap.clamp(min=0) / span


def enlarge(sizes: torch.Tensor, size: int, cubic: torch.Tensor) -> torch.Tensor:
    """float32 [N, size, size]: from smaller sizes back to the whole canvas.

    Args:
        sizes: float32 [N], as for `shrink`.
        size: side of the canvas.
        cubic: float32 [N], 1 for Keys' cubic (a = -0.75, as cv2 has it), 0 for linear.
    """
    at = torch.arange(size, device=sizes.device, dtype=torch.float32)
    source = (at + 0.5) * (sizes / size)[:, None] - 0.5
    base = source.floor()
    matrix = torch.zeros(len(sizes), size, size, device=sizes.device)
    for tap in (-1, 0, 1, 2):
        distance = (source - base - tap).abs()
        linear = (1 - distance).clamp(min=0)
        near = ((1.25 * distance - 2.25) * distance) * distance + 1
        far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
        weight = torch.where(cubic[:, None] > 0, torch.where(distance <= 1, near, far), linear)
        # Beyond the border the last pixel is repeated.
        where = (base + tap).clamp(min=0).minimum(sizes[:, None] - 1)
        matrix += weight[:, :, None] * (where[:, :, None] == at)
    return matrix


def blurred(pictures: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """float32 [N, C, S, S], each picture blurred by its own sigma [N] in pixels."""
    return separable(pictures, gaussian(sigma, pictures.shape[-1]))
