"""Holds one update of a model to the reference: gradients, their norm, and the weights after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from _compared import Compared, assert_one_direction
from _network import Network
from reference import optimizer
from torch import Tensor

GRADIENTS = 1e-3
"""In float32, of a parameter's largest gradient."""
WEIGHTS = 0.002
"""In float32: how far a weight may move otherwise than Adam does, in learning rates."""
_WIDE = 32
_SHOWN = 64
"""In bfloat16, in learning rates: the steps between larger weights round away what Adam moves them by."""
_FAR_FROM_NOTHING = 1e-2
"""Of a tensor's largest gradient: below, Adam's first steps are all sign, and rounding decides it."""


@dataclass
class Updated:
    """A network that takes the steps of a recorded model beside it."""

    network: Network
    compared: Compared
    learning_rate: float
    largest_norm: float
    clipped_gradients: bool
    """FSDP's optimizer is handed gradients that are clipped already, Megatron's clips them itself."""
    adam: optimizer.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.adam = optimizer.Adam(self.learning_rate, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.0)

    def assert_before(self, found: Mapping[str, Tensor], whose: str) -> None:
        """The recorded model has the network's weights."""
        for name, value in self.network.weights().items():
            gap = float((found[name].double() - value).abs().max())
            assert gap <= (0.0 if self.compared.exact else 1e-2), (
                f"{name} of {whose} differs by {gap:.2e} from what it should be"
            )

    def assert_step(self, update: Mapping[str, Any], gradients: dict[str, Tensor], norm: float, whose: str) -> None:
        """The gradients one by one, their norm, and the weights after the step; the network goes on from those."""
        exact = self.compared.exact
        narrow = [name for name, bits in update["bits"].items() if int(bits.min()) < _WIDE]
        assert not narrow, f"gradients of {whose} are summed in less than {_WIDE} bits: {narrow[:3]}"
        expected = optimizer.norm(gradients)
        assert abs(norm - expected) <= self.compared.tolerance("norm") * expected + 1e-7, (
            f"the gradient norm of {whose} is {norm:.6g}, not {expected:.6g}"
        )
        clipped = optimizer.clip(gradients, self.largest_norm)
        due = clipped if self.clipped_gradients else gradients
        found = {name: update["gradients"].get(name, torch.zeros_like(one)).double() for name, one in due.items()}
        before = self.network.weights()
        moves = {name: weight - before[name] for name, weight in self.adam.step(before, clipped).items()}
        moved = {name: update["after"][name].double() - before[name] for name in moves}
        if not exact:
            assert_one_direction(found, due, "gradients", whose)
            shown = {name: weight.abs() < _SHOWN * self.learning_rate for name, weight in before.items()}
            of_those = [{name: some[name] * shown[name] for name in moves} for some in (moved, moves)]
            assert_one_direction(*of_those, "moves", whose)
        for name in due if exact else ():
            true = due[name]
            scale = max(float(true.abs().max()), 1e-5 * expected, 1e-12)
            gap = float((found[name] - true).abs().max()) / scale
            assert gap <= GRADIENTS, f"the gradient of {name} of {whose} is off by {gap:.2e} of its largest number"
            clear = true.abs() > _FAR_FROM_NOTHING * true.abs().max()
            gap = float(((moved[name] - moves[name]).abs() * clear).max()) / self.learning_rate
            assert gap <= WEIGHTS, f"{name} of {whose} moved otherwise than Adam does: by {gap:.2e} learning rates"
        self.network.load({name: before[name] + moved[name] for name in before})
