"""One update of a policy, and of a critic, on a recorded rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from reference import credit, loss, optimizer

Vector = torch.Tensor


@dataclass(frozen=True)
class Response:
    """What was recorded of one sample."""

    group: int
    tokens: list[int]
    """Prompt and response."""
    length: int
    """Of the response."""
    rollout: Vector
    """Its log-probabilities when it was sampled."""
    reward: float
    learns: Vector
    """1 for each token of the response that learns."""
    teacher: Vector
    """The teacher's log-probabilities; empty without one."""


@dataclass(frozen=True)
class Settings:
    """The hyperparameters, in the papers' words."""

    estimator: str = "grpo"
    per_token: bool = False
    low: float = 0.2
    high: float = 0.28
    largest_weight: float | None = None
    """Of truncated importance sampling; None: no such weights."""
    gamma: float = 1.0
    lam: float = 0.95
    value_clip: float = 0.2
    group_correction: int = 0
    """What a group's standard deviation takes off n; ``whitening_correction`` the same."""
    whitening_correction: int = 1


@dataclass(frozen=True)
class Batch:
    """What an update needs to know of the policy (and the critic) as they were when it began."""

    old: list[Vector]
    """The log-probabilities of each response."""
    advantages: list[Vector]
    old_values: list[Vector] = field(default_factory=list)
    returns: list[Vector] = field(default_factory=list)


def credited(
    responses: Sequence[Response], old: Sequence[Vector], settings: Settings, values: Sequence[Vector] = ()
) -> Batch:
    """Credit each token, by the estimator that ``settings`` names."""
    old = [one.detach() for one in old]
    if settings.estimator == "grpo":
        each = credit.group_advantages(
            [r.reward for r in responses], [r.group for r in responses], settings.group_correction
        )
        spread = [torch.full((r.length,), one, dtype=torch.float64) for r, one in zip(responses, each, strict=True)]
        return Batch(old, spread)
    if settings.estimator == "opd":
        return Batch(
            old,
            [credit.distillation(one, response.teacher) for one, response in zip(old, responses, strict=True)],
        )
    values = [one.detach() for one in values]
    pairs = [credit.gae(r.reward, v, settings.gamma, settings.lam) for r, v in zip(responses, values, strict=True)]
    white = credit.whiten(
        [advantages for advantages, _ in pairs], [r.learns for r in responses], settings.whitening_correction
    )
    return Batch(old, white, values, [returns for _, returns in pairs])


@dataclass(frozen=True)
class PolicyTerms:
    """The loss of the policy on a whole batch, and what it is made of."""

    loss: torch.Tensor
    clip_fraction: float
    """The share of the weight of all tokens whose gradient the bounds take away."""
    importance: float | None
    """The mean weight of truncated importance sampling."""


def policy_terms(
    responses: Sequence[Response], new: Sequence[Vector], batch: Batch, settings: Settings
) -> PolicyTerms:
    """With truncated importance sampling the ratio is to the trainer's own policy, else to the one that sampled."""
    terms, held, weights = [], [], []
    for response, now, trained, advantages in zip(responses, new, batch.old, batch.advantages, strict=True):
        corrected = settings.largest_weight is not None
        old = trained if corrected else response.rollout
        term = loss.surrogate(now, old, advantages, settings.low, settings.high)
        held.append(loss.is_clipped(now.detach(), old, advantages, settings.low, settings.high))
        if settings.largest_weight is not None:
            weights.append(loss.importance(trained, response.rollout, settings.largest_weight))
            term = term * weights[-1]
        terms.append(term)
    learns = [response.learns for response in responses]
    return PolicyTerms(
        loss.mean(terms, learns, settings.per_token),
        float(loss.mean(held, learns, settings.per_token)),
        float(loss.mean(weights, learns, settings.per_token)) if weights else None,
    )


def critic_loss(
    responses: Sequence[Response], values: Sequence[Vector], batch: Batch, settings: Settings
) -> torch.Tensor:
    """The loss of the critic on the whole batch."""
    terms = [
        loss.value_loss(now, old, returns, settings.value_clip)
        for now, old, returns in zip(values, batch.old_values, batch.returns, strict=True)
    ]
    return loss.mean(terms, [r.learns for r in responses], settings.per_token)


def gradients(model: torch.nn.Module, total: Callable[[], torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    """The value of ``total()`` and its gradient by each of the model's parameters; 0 for those it does not use."""
    model.zero_grad()
    value = total()
    value.backward()
    return float(value.detach()), {
        name: (torch.zeros_like(weight) if weight.grad is None else weight.grad).detach().clone()
        for name, weight in model.named_parameters()
    }


def update(
    model: torch.nn.Module, adam: optimizer.Adam, found: dict[str, torch.Tensor], largest_norm: float
) -> float:
    """Clip the gradients, take one step of Adam in place, and return the norm before clipping."""
    length = optimizer.norm(found)
    before = {name: weight.detach() for name, weight in model.named_parameters()}
    after = adam.step(before, optimizer.clip(found, largest_norm))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(after[name])
    return length
