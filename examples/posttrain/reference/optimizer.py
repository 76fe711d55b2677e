"""Gradient clipping and Adam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

Tensors = Mapping[str, torch.Tensor]


def norm(gradients: Tensors) -> float:
    """The length of all gradients as one vector."""
    return sum(float((gradient.double() ** 2).sum()) for gradient in gradients.values()) ** 0.5


def clip(gradients: Tensors, largest: float) -> dict[str, torch.Tensor]:
    """The gradients, scaled together so that their norm is at most ``largest`` (Pascanu et al. 2013)."""
    scale = min(1.0, largest / max(norm(gradients), 1e-300))
    return {name: gradient * scale for name, gradient in gradients.items()}


@dataclass
class Adam:
    """Kingma and Ba 2015, algorithm 1, with decoupled weight decay (Loshchilov and Hutter 2019)."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    steps: int = 0
    first: dict[str, torch.Tensor] = field(default_factory=dict)
    second: dict[str, torch.Tensor] = field(default_factory=dict)

    def step(self, weights: Tensors, gradients: Tensors) -> dict[str, torch.Tensor]:
        """The weights after one step; ``first`` and ``second`` hold the moments."""
        self.steps += 1
        after = {}
        for name, weight in weights.items():
            gradient = gradients[name]
            m = self.beta1 * self.first.get(name, torch.zeros_like(gradient)) + (1 - self.beta1) * gradient
            v = self.beta2 * self.second.get(name, torch.zeros_like(gradient)) + (1 - self.beta2) * gradient**2
            self.first[name], self.second[name] = m, v
            m_hat = m / (1 - self.beta1**self.steps)
            v_hat = v / (1 - self.beta2**self.steps)
            decayed = weight * (1 - self.learning_rate * self.weight_decay)
            after[name] = decayed - self.learning_rate * m_hat / (v_hat.sqrt() + self.epsilon)
        return after
