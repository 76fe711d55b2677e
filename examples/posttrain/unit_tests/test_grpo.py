"""The example's mathematics, against definitions written out with loops."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from posttrain.rollout.fp8 import rounded
from posttrain.training.advantages import at_the_end, discounted, whitened
from posttrain.training.grpo import clip_loss, group_advantages, token_log_probs
from posttrain.training.objective import importance_weights


def test_advantages_are_normalised_within_their_group() -> None:
    groups = [[1.0, 0.0, 0.1, 0.0], [0.1, 0.1, 1.0, 1.0]]
    groups.append([0.0, 1.0])  # generation made fewer samples of this prompt
    numbers = torch.tensor([7] * 4 + [3] * 4 + [5] * 2)
    advantages = group_advantages(torch.tensor([reward for group in groups for reward in group]), numbers)
    for group, row in zip(groups, (part.tolist() for part in advantages.split([4, 4, 2])), strict=True):
        mean, deviation = statistics.fmean(group), statistics.pstdev(group)
        assert row == pytest.approx([(reward - mean) / deviation for reward in group], rel=1e-4)


def test_equal_rewards_teach_nothing() -> None:
    assert group_advantages(torch.full((4,), 0.1), torch.zeros(4)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_log_probs_are_of_the_tempered_softmax(temperature: float) -> None:
    logits, tokens = [0.3, -1.0, 2.0], [2, 0]
    got = token_log_probs(torch.tensor([logits, logits]), torch.tensor(tokens), temperature).tolist()
    weights = [math.exp(logit / temperature) for logit in logits]
    assert got == pytest.approx([math.log(weights[token] / sum(weights)) for token in tokens], rel=1e-5)


def loss_of(ratio: float, advantage: float) -> tuple[float, float, float]:
    """Loss, its gradient by the log-probability and the clipped count, of one token."""
    log_probs = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, clipped = clip_loss(log_probs, torch.zeros(1), torch.tensor([advantage]), clip_low=0.2, clip_high=0.28)
    loss.sum().backward()
    assert log_probs.grad is not None
    return loss.item(), log_probs.grad.item(), clipped.item()


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


def test_advantages_of_a_critic_are_those_of_the_definition() -> None:
    """The sum of equation 16 of arXiv:1506.02438, written out."""
    values, rewards, gamma, lam = [0.5, 0.2, -0.3], [0.0, 0.0, 1.0], 0.9, 0.8
    deltas = [r + gamma * v1 - v for r, v, v1 in zip(rewards, values, [*values[1:], 0.0], strict=True)]
    expected = [sum((gamma * lam) ** k * d for k, d in enumerate(deltas[t:])) for t in range(3)]
    advantages, returns = discounted(torch.tensor(rewards), torch.tensor(values), gamma=gamma, lam=lam)
    assert advantages.tolist() == pytest.approx(expected)
    assert returns.tolist() == pytest.approx([a + v for a, v in zip(expected, values, strict=True)])


def test_a_response_is_rewarded_at_its_last_token() -> None:
    assert at_the_end(0.7, torch.zeros(3)).tolist() == pytest.approx([0, 0, 0.7])
    assert at_the_end(0.7, torch.zeros(0)).tolist() == []


def test_whitened_advantages_have_mean_0_and_variance_1_where_tokens_learn() -> None:
    rows, masks = (
        [torch.tensor([1.0, 2.0, 50.0]), torch.tensor([6.0])],
        [torch.tensor([1, 1, 0]), torch.tensor([1])],
    )
    white = whitened(rows, torch.cat(rows)[torch.cat(masks).bool()])
    learning = torch.cat([white[0][:2], white[1]])
    assert learning.mean().item() == pytest.approx(0, abs=1e-6)
    assert learning.std().item() == pytest.approx(1, rel=1e-4)


def test_fp8_changes_a_weight_by_a_sixteenth_at_most_and_leaves_small_layers_alone() -> None:
    weight = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    rounded_weight = rounded("model.layers.0.mlp.up_proj.weight", weight)
    scale = weight.abs().amax(dim=-1, keepdim=True) / 448
    normal = weight.abs() >= scale * 2**-6  # below, e4m3 has subnormal numbers, of fewer bits
    assert ((rounded_weight - weight).abs() <= weight.abs() / 16 * 1.0001)[normal].all()
    assert not torch.equal(rounded_weight, weight)
    for name in ("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.mlp.gate.weight"):
        assert rounded(name, weight) is weight


def test_fp8_leaves_a_row_of_zeros_as_it_is() -> None:
    weight = torch.stack([torch.zeros(4), torch.full((4,), 1e-20), torch.ones(4)])
    found = rounded("model.layers.0.mlp.up_proj.weight", weight)
    assert found[0].tolist() == [0, 0, 0, 0]
    assert found.isfinite().all()


def test_importance_weights_are_truncated() -> None:
    weights = importance_weights(torch.tensor([0.0, 1.0, -1.0]), torch.zeros(3), clip=2.0)
    assert weights.tolist() == pytest.approx([1.0, 2.0, math.exp(-1)])
