"""The example's mathematics, against definitions written out with loops."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from posttrain.grpo import clip_loss, group_advantages, token_log_probs


def test_advantages_are_normalised_within_their_group() -> None:
    groups = [[1.0, 0.0, 0.1, 0.0], [0.1, 0.1, 1.0, 1.0]]
    advantages = group_advantages(torch.tensor(groups).flatten(), 4).view(2, 4)
    for group, row in zip(groups, advantages.tolist(), strict=True):
        mean, deviation = statistics.fmean(group), statistics.pstdev(group)
        assert row == pytest.approx([(reward - mean) / deviation for reward in group], rel=1e-4)


def test_equal_rewards_teach_nothing() -> None:
    assert group_advantages(torch.full((4,), 0.1), 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_probs_are_of_the_tempered_softmax(temperature: float) -> None:
    logits, tokens = [0.3, -1.0, 2.0], [2, 0]
    got = token_log_probs(torch.tensor([logits, logits]), torch.tensor(tokens), temperature).tolist()
    weights = [math.exp(logit / temperature) for logit in logits]
    assert got == pytest.approx([math.log(weights[token] / sum(weights)) for token in tokens], rel=1e-5)


def loss_of(ratio: float, advantage: float) -> tuple[float, float, float]:
    """Loss, its gradient by the log-probability and the clipped count, of one token and one masked token."""
    log_probs = torch.tensor([[math.log(ratio), 3.0]], requires_grad=True)
    mask = torch.tensor([[1.0, 0.0]])
    loss = clip_loss(
        log_probs, torch.zeros(1, 2), torch.full((1, 2), advantage), mask, clip_low=0.2, clip_high=0.28
    )
    loss.total.backward()
    assert log_probs.grad is not None
    assert log_probs.grad[0, 1] == 0, "a masked token must not learn"
    return loss.total.item(), log_probs.grad[0, 0].item(), loss.clipped.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient", "clipped"),
    [
        (1.0, 2.0, -2.0, -2.0, 0),  # on policy: the policy gradient
        (1.0, -2.0, 2.0, 2.0, 0),
        (1.2, 1.0, -1.2, -1.2, 0),
        (1.5, 1.0, -1.28, 0.0, 1),  # gone far enough: no more push
        (1.5, -1.0, 1.5, 1.5, 0),  # gone the wrong way: pushed back whatever the ratio
        (0.5, -1.0, 0.8, 0.0, 1),
        (0.5, 1.0, -0.5, -0.5, 0),
    ],
)
def test_the_clipped_surrogate(
    ratio: float, advantage: float, loss: float, gradient: float, clipped: float
) -> None:
    assert loss_of(ratio, advantage) == pytest.approx((loss, gradient, clipped), rel=1e-5, abs=1e-6)
