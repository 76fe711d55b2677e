"""float8_e4m3, from its definition (Micikevicius et al. 2022, table 1): 4 bits of exponent, 3 of mantissa."""

from __future__ import annotations

import torch

LARGEST = 448.0
_BIAS = 7


def values() -> torch.Tensor:
    """Every non-negative number that it can hold, in order; the last pattern is no number."""
    found = []
    for exponent in range(16):
        for mantissa in range(8):
            if (exponent, mantissa) == (15, 7):
                continue
            if exponent == 0:
                found.append(mantissa / 8 * 2.0 ** (1 - _BIAS))
            else:
                found.append((1 + mantissa / 8) * 2.0 ** (exponent - _BIAS))
    return torch.tensor(found, dtype=torch.float64)


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """Each output channel scaled so that its largest number becomes LARGEST, and rounded to nearest."""
    table = values()
    scale = weight.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / LARGEST
    wanted = (weight / scale).abs()
    above = torch.bucketize(wanted, table).clamp(max=len(table) - 1)
    below = (above - 1).clamp(min=0)
    up, down = table[above], table[below]
    # Half way between two, the one with the even mantissa, whose place in the table is even.
    takes_up = (up - wanted < wanted - down) | ((up - wanted == wanted - down) & (above % 2 == 0))
    return torch.where(takes_up, up, down) * weight.sign() * scale
