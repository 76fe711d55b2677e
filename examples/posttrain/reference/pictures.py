"""Pictures as Qwen2-VL takes them (Wang et al. 2024, section 2.1), written out square by square."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def tokens(config: Any, path: str) -> list[int]:
    """What stands for the picture in a prompt: a token for each square of merged patches, between start and end."""
    vision = config.vision_config
    unit = vision.patch_size * vision.spatial_merge_size
    height, width, _ = np.load(path).shape
    squares = [config.image_token_id] * (height // unit * (width // unit))
    return [config.vision_start_token_id, *squares, config.vision_end_token_id]


def inputs(config: Any, tokens: list[int], path: str) -> dict[str, torch.Tensor]:
    """The patches of the picture, their grid, and the position of every token in time, row and column."""
    vision = config.vision_config
    picture = np.load(path)
    patch, merge, frames = vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size
    rows, columns = picture.shape[0] // patch, picture.shape[1] // patch
    flat = []
    for top in range(0, rows, merge):
        for left in range(0, columns, merge):
            for row in range(top, top + merge):
                for column in range(left, left + merge):
                    square = picture[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
                    flat.append(_patch(square, frames))
    return {
        "pixel_values": torch.tensor(np.stack(flat), dtype=torch.float64),
        "image_grid_thw": torch.tensor([[1, rows, columns]]),
        "position_ids": positions(tokens, config.image_token_id, rows // merge, columns // merge),
    }


def _patch(square: np.ndarray, frames: int) -> np.ndarray:
    """Colour by colour; a still picture repeats itself in each frame."""
    parts = []
    for colour in range(3):
        plane = (square[:, :, colour] / 255 - MEAN[colour]) / DEVIATION[colour]
        parts += [plane.flatten()] * frames
    return np.concatenate(parts)


def positions(tokens: list[int], image: int, rows: int, columns: int) -> torch.Tensor:
    """[3, 1, tokens]. Text counts up in all three parts.

    A picture stands still in time, and spreads over rows and columns; what follows goes on after the largest.
    """
    found: list[tuple[int, int, int]] = []
    place = seen = 0
    for token in tokens:
        if token != image:
            found.append((place, place, place))
            place += 1
            continue
        found.append((place, place + seen // columns, place + seen % columns))
        seen += 1
        if seen == rows * columns:
            place += max(rows, columns)
    return torch.tensor(found).T.unsqueeze(1)
