"""Images that are nearly the same: saved again, resized, brightened, mirrored, or cropped by a little.

A hash of the whole image changes with a crop. So the images that resemble each other most in coarse are found first, an
image also by crops of it; then the two thumbnails of such a pair are brought into line, and are compared in detail.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

_COARSE, _NEIGHBOURS = 12, 3  # pixels of a side that candidates are found by; of each view of an image so many
_ALIKE = 0.8  # cosine from which two images are candidates
# What views show of an image: left, top, right and bottom as fractions.
_CROPS = (
    (0, 0, 1, 1), (0.05, 0.05, 0.95, 0.95), (0.1, 0.1, 0.9, 0.9),
    (0.08, 0.08, 1, 1), (0, 0.08, 0.92, 1), (0.08, 0, 1, 0.92), (0, 0, 0.92, 0.92),
)  # fmt: skip
_LEVELS = ((16, 6, 0.9), (32, 4, 0.93), (64, 3, 0.95))  # pixels of a side, steps, correlation below which it ends
_SAME_DETAIL = 0.78  # correlation of what is left without the coarse, from which two images are the same
_MOST_ZOOM, _MOST_SHIFT = 1.3, 0.3
_ROWS, _PAIRS = 1024, 512  # at once


class NearPairs(NamedTuple):
    """Pairs of images that are nearly the same: their numbers, the lower first, and the correlation of their detail."""

    first: np.ndarray
    second: np.ndarray
    likeness: np.ndarray


@torch.no_grad()
def find_near(thumbnails: np.ndarray) -> NearPairs:
    """The pairs among images, given as uint8 of shape (images, 64, 64, 3)."""
    grey = torch.cat([_grey(part) for part in np.array_split(thumbnails, max(1, len(thumbnails) // _ROWS))])
    found = [torch.empty(0, 3)]
    for pairs in _candidates(grey).split(_PAIRS):
        found.append(_compare(grey, pairs))
    pairs = torch.cat(found).numpy()
    numbers = pairs[:, :2].astype(int)
    best = {}
    for (first, second), likeness in zip(map(tuple, np.sort(numbers, axis=1)), pairs[:, 2], strict=True):
        best[first, second] = max(likeness, best.get((first, second), 0))
    order = sorted(best)
    first, second = (np.array([pair[side] for pair in order], int) for side in (0, 1))
    return NearPairs(first, second, np.array([best[pair] for pair in order]))


def _grey(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).float() @ torch.tensor([0.299, 0.587, 0.114])


def _candidates(grey: torch.Tensor) -> torch.Tensor:
    """Pairs of images: the one of which a view was taken, the other, whether mirrored, number of the crop."""
    whole = _coarse(grey, _CROPS[0])
    found = [_nearest(_coarse(grey, crop), whole, 0, number) for number, crop in enumerate(_CROPS)]
    found.append(_nearest(_coarse(grey.flip(2), _CROPS[0]), whole, 1, 0))
    pairs = torch.cat(found)
    both_ways = (pairs[:, 3] == 0) & (pairs[:, 0] > pairs[:, 1])  # of whole images, either may be the first
    pairs[both_ways, :2] = pairs[both_ways, :2].flip(1)
    return torch.unique(pairs, dim=0)


def _coarse(grey: torch.Tensor, crop: tuple) -> torch.Tensor:
    """Unit vectors of part of each image, shape (images, 144); of a constant one zero."""
    left, top, right, bottom = crop
    parts = []
    for some in grey.split(_ROWS):
        some = some[:, None]
        if crop != _CROPS[0]:
            matrix = torch.tensor([[right - left, 0, left + right - 1], [0, bottom - top, top + bottom - 1]])
            size = (len(some), 1, 32, 32)
            grid = functional.affine_grid(matrix.expand(len(some), 2, 3), size, align_corners=False)
            some = functional.grid_sample(functional.adaptive_avg_pool2d(some, 32), grid, align_corners=False)
        vector = functional.adaptive_avg_pool2d(some, _COARSE).flatten(1)
        parts.append(functional.normalize(vector - vector.mean(1, keepdim=True), dim=1))
    return torch.cat(parts) if parts else torch.empty(0, _COARSE**2)


def _nearest(views: torch.Tensor, whole: torch.Tensor, mirrored: int, crop: int) -> torch.Tensor:
    found = [torch.empty(0, 4, dtype=torch.long)]
    for start in range(0, len(views) if len(whole) > 1 else 0, _ROWS):
        some = views[start : start + _ROWS]
        numbers = torch.arange(start, start + len(some))
        cosines = some @ whole.T
        cosines[numbers - start, numbers] = -1
        best, others = cosines.topk(min(_NEIGHBOURS, len(whole) - 1), dim=1)
        rows, columns = torch.nonzero(best > _ALIKE, as_tuple=True)
        how = torch.tensor([mirrored, crop]).expand(len(rows), 2)
        found.append(torch.cat([numbers[rows, None], others[rows, columns, None], how], dim=1))
    return torch.cat(found)


def _compare(grey: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
    """Of those pairs that are nearly the same their numbers and likeness, shape (found, 3)."""
    left, top, right, bottom = torch.tensor(_CROPS, dtype=torch.float)[pairs[:, 3]].T
    scales = torch.stack([right - left, bottom - top], dim=1)
    warp = torch.cat([1 / scales, (1 - torch.stack([left + right, top + bottom], dim=1)) / scales], dim=1)
    for side, steps, least in _LEVELS:
        one, other = (functional.adaptive_avg_pool2d(each[:, None], side)[:, 0] for each in _images(grey, pairs))
        warp = _align(one, other, warp, steps)
        moved, inside = _sample(other[:, None], warp)
        alike = _correlation(one, moved[:, 0], inside) > least
        pairs, warp, one, moved, inside = (each[alike] for each in (pairs, warp, one, moved[:, 0], inside))
    likeness = _correlation(one - _blur(one), moved - _blur(moved), inside)
    same = likeness > _SAME_DETAIL
    return torch.cat([pairs[same, :2].float(), likeness[same, None]], dim=1)


def _images(grey: torch.Tensor, pairs: torch.Tensor) -> Iterator[torch.Tensor]:
    yield grey[pairs[:, 0]]
    other = grey[pairs[:, 1]]
    yield torch.where(pairs[:, 2, None, None] == 1, other.flip(2), other)


def _align(one: torch.Tensor, other: torch.Tensor, warp: torch.Tensor, steps: int) -> torch.Tensor:
    """Scale and shift by which the second of each pair comes to lie on the first: Lucas and Kanade (1981).

    Args:
        one, other: shape (pairs, side, side).
        warp: to start from: scales and shifts along x and y, in half sides; shape (pairs, 4).
    """
    side = one.shape[-1]
    y, x = _places(side)
    slope_y, slope_x = torch.gradient(other, spacing=2 / side, dim=(1, 2))
    layers = torch.stack([other, slope_x, slope_y], dim=1)
    for _ in range(steps):
        moved, inside = _sample(layers, warp)
        value, along_x, along_y = moved.unbind(1)
        # Brightness and contrast are fitted along with the warp: first = gain * second + offset.
        columns = (along_x * x, along_y * y, along_x, along_y, value, torch.ones_like(value))
        matrix = (torch.stack(columns, dim=-1) * inside[..., None]).flatten(1, 2)
        normal = matrix.transpose(1, 2) @ matrix
        ridge = 1e-4 * normal.diagonal(dim1=1, dim2=2).mean(1) + 1e-3
        normal = normal + ridge[:, None, None] * torch.eye(6)
        target = matrix.transpose(1, 2) @ (one * inside).flatten(1)[..., None]
        solution = torch.linalg.solve(normal, target)[..., 0]
        warp = warp + (solution[:, :4] / solution[:, 4:5].clamp(min=0.2)).clamp(-0.1, 0.1)
        warp[:, :2].clamp_(1 / _MOST_ZOOM, _MOST_ZOOM)
        warp[:, 2:].clamp_(-_MOST_SHIFT, _MOST_SHIFT)
    return warp


def _places(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the centres of pixels, -1 to 1."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    return torch.meshgrid(centres, centres, indexing="ij")


def _sample(layers: torch.Tensor, warp: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Layers, shape (pairs, layers, side, side), warped; and which pixels lie inside, 0 or 1."""
    y, x = _places(layers.shape[-1])
    scale_x, scale_y, shift_x, shift_y = warp.T[:, :, None, None]
    x, y = scale_x * x + shift_x, scale_y * y + shift_y
    moved = functional.grid_sample(layers, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)
    return moved, ((x.abs() < 1) & (y.abs() < 1)).float()


def _correlation(one: torch.Tensor, other: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Of the pixels inside, of each pair."""
    count = inside.sum((1, 2)).clamp(min=1)
    one, other = ((each - ((each * inside).sum((1, 2)) / count)[:, None, None]) * inside for each in (one, other))
    products = (one * other).sum((1, 2))
    return products / (one.square().sum((1, 2)) * other.square().sum((1, 2))).sqrt().clamp(min=1e-6)


def _blur(images: torch.Tensor) -> torch.Tensor:
    for _ in range(3):
        images = functional.avg_pool2d(functional.pad(images[:, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[:, 0]
    return images
