"""The task for models that see: bright squares to count, drawn with a fixed seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posttrain.task.problems import Problem

COUNTS = (0, 2, 4)
"""How many squares may be bright."""
_PICTURES = 12
_SEED = 1234
_CELL = 28
"""Pixels: what Qwen2-VL makes one token of."""


def draw_problems(directory: Path) -> list[Problem]:
    """Write pictures of 2 × 2 squares, as many of each count, as arrays of height × width × colour."""
    directory.mkdir()
    random = np.random.default_rng(_SEED)
    problems = []
    for number in range(_PICTURES):
        count = COUNTS[number % len(COUNTS)]
        bright = random.permutation(4) < count
        shades = np.where(bright, 192, 0).reshape(2, 2, 1).repeat(_CELL, axis=0).repeat(_CELL, axis=1)
        noise = random.integers(0, 64, (2 * _CELL, 2 * _CELL, 3))
        path = directory / f"{number}.npy"
        np.save(path, (shades + noise).astype(np.uint8))
        problems.append(Problem("How many?", f"#### {count}", f"{directory.name}/{path.name}"))
    return problems
