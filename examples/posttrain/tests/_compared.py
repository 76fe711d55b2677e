"""How near a run has to come to the reference, in the type that it computes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# float32 against float64: the largest gap that was seen, ten times over. In bfloat16, whose mantissa has 8 bits, a
# token may go to another expert: there it is the mean gap, three times over.
TOLERANCES = {
    "float32": {"log_probs": 2e-5, "fp8": 1e-3, "terms": 2e-5, "norm": 2e-4, "routed": 0.99},
    "bfloat16": {"log_probs": 0.03, "fp8": 0.1, "terms": 0.02, "norm": 0.05, "routed": 0.75},
}
FINEST = 1e-4
"""Of log-probabilities in bfloat16, the mean gap that arithmetic with 8 bits of mantissa leaves at least."""
COSINES = {"gradients": 0.99, "moves": 0.9}
"""In bfloat16, between what a run has and the reference, all parameters together; lengths agree to 10 %."""


@dataclass(frozen=True)
class Compared:
    """By ``dtype``, torch's name of it."""

    dtype: str

    @property
    def exact(self) -> bool:
        """Whether numbers are compared one by one."""
        return self.dtype == "float32"

    def tolerance(self, kind: str) -> float:
        return TOLERANCES[self.dtype][kind]

    def near(
        self, found: Sequence[Tensor], expected: Sequence[Tensor], kind: str, what: str, scale: float = 1.0
    ) -> None:
        """Of each response one tensor."""
        for ours, true in zip(found, expected, strict=True):
            assert ours.shape == true.shape, f"{what} are {tuple(ours.shape)}, not {tuple(true.shape)}"
        gaps = (torch.cat(list(found)).double() - torch.cat(list(expected)).detach()).abs()
        gap, tolerance = float(gaps.max() if self.exact else gaps.mean()), self.tolerance(kind) * scale
        assert gap <= tolerance, f"{what} are off by {gap:.2e}, more than {tolerance:.0e}"

    def in_its_type(self, found: Sequence[Tensor], expected: Sequence[Tensor], what: str) -> None:
        """Log-probabilities that are too good for bfloat16 were not made in it."""
        gap = float((torch.cat(list(found)).double() - torch.cat(list(expected)).detach()).abs().mean())
        assert self.exact or gap > FINEST, f"{what} are off by {gap:.2e} only: that is no {self.dtype}"

    def close(self, found: float, expected: float, what: str) -> None:
        """A term of the loss, or what is reported of one."""
        tolerance = self.tolerance("terms")
        assert abs(found - expected) <= tolerance * (1 if abs(expected) < 1 else abs(expected)), (
            f"{what} is {found:.8g}, and the reference's {expected:.8g}"
        )


def assert_one_direction(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], kind: str, whose: str
) -> None:
    """And of one length."""
    ours, theirs = (torch.cat([some[name].flatten() for name in expected]) for some in (found, expected))
    if theirs.norm() > 0:
        cosine, length = (
            float(ours @ theirs / (ours.norm() * theirs.norm()).clamp(min=1e-12)),
            ours.norm() / theirs.norm(),
        )
        assert cosine > COSINES[kind], f"the {kind} of {whose} point elsewhere: the cosine is {cosine:.3f}"
        assert 0.9 < length < 1.1, f"the {kind} of {whose} are {length:.3f} times as long as they should be"
