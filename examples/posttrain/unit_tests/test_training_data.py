"""What training makes of samples: masks, weights, means, and a loss as a hook."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from posttrain.arguments import Config
from posttrain.learner import Learner, _reverse_kl
from posttrain.sample import Sample
from posttrain.training.advantages import whitened
from posttrain.training.data import batches, convert_samples, sum_of_sample_mean, to_tensors
from posttrain.training.losses import reinforce_loss

ARGS = SimpleNamespace(rollout_max_response_len=4)


def test_two_tokens_are_whitened_one_is_not():
    two, one = torch.tensor([1.0, 3.0]), torch.tensor([5.0])
    assert whitened([two], two)[0].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5], abs=1e-5)
    assert whitened([one], one)[0].tolist() == [5.0]


def test_the_mean_of_a_sample_is_over_what_learns():
    data = {"response_lengths": [1, 3], "loss_masks": [torch.ones(1), torch.tensor([1.0, 0.0, 1.0])]}
    assert sum_of_sample_mean(torch.tensor([1.0, 2.0, 3.0, 6.0]), data) == 1 + (2 + 6) / 2


def test_what_not_every_sample_has_is_left_out():
    with_teacher, without = (
        Sample(0, number, "", "", tokens=[1, 2], response_length=1, rollout_log_probs=[-1.0], reward=0.0)
        for number in (0, 1)
    )
    with_teacher.teacher_log_probs = [-2.0]
    assert convert_samples(ARGS, [with_teacher, with_teacher])["teacher_log_probs"] == [[-2.0], [-2.0]]
    assert "teacher_log_probs" not in convert_samples(ARGS, [with_teacher, without])
    assert convert_samples(ARGS, [without])["loss_masks"] == [[1]], "without a mask every token learns"
    without.status = Sample.Status.TRUNCATED
    assert convert_samples(ARGS, [without])["loss_masks"] == [[1]], "what was cut off learns, unless a hook says no"


def test_a_single_token_may_learn():
    learner = SimpleNamespace(_config=Config(Path(), Path(), Path(), per_token_loss=True))
    learner.policy = SimpleNamespace(replica=SimpleNamespace(gather=lambda own: [own]))
    masks = [torch.tensor([0.0, 1.0]), torch.zeros(3)]
    data = {"loss_masks": masks}
    assert Learner._weigh(learner, data) == 1
    assert data["all_samples"] == 2
    assert torch.cat(data["loss_weights"]).tolist() == [0, 1, 0, 0, 0]
    told = {"log_probs": [torch.full_like(mask, -1.0) for mask in masks], "loss_masks": masks}
    assert _reverse_kl(told) is None
    assert _reverse_kl({**told, "teacher_log_probs": [torch.full_like(mask, -3.0) for mask in masks]}) == 2.0


def test_the_loss_without_a_ratio_is_made_of_the_tokens_of_responses():
    chance = torch.Generator().manual_seed(1)
    tokens = [torch.tensor([1, 2, 3, 0]), torch.tensor([3, 1, 2])]
    logits = [torch.randn(len(row), 4, generator=chance) for row in tokens]
    batch = {"total_lengths": [4, 3], "response_lengths": [2, 1], "tokens": tokens}
    batch["advantages"] = [torch.tensor([1.0, 2.0]), torch.tensor([-3.0])]
    args = SimpleNamespace(rollout_temperature=0.5)
    found, _ = reinforce_loss(args, batch, torch.cat(logits).unsqueeze(0), torch.sum)
    scores = [torch.log_softmax(row / 0.5, dim=-1) for row in logits]
    expected = -(scores[0][1, 3] + 2 * scores[0][2, 0] - 3 * scores[1][1, 2])
    assert found == pytest.approx(float(expected), abs=1e-5)


def test_sequences_are_padded_to_the_width_that_is_asked_for():
    samples = [Sample(0, n, "", "", tokens=[1] * (3 + n), response_length=1, reward=0.0) for n in range(2)]
    for sample in samples:
        sample.rollout_log_probs = [-1.0]
    data = to_tensors(convert_samples(ARGS, samples), torch.device("cpu"))
    data |= {"log_probs": data["rollout_log_probs"]}
    for options, shape in (({}, [2, 4]), ({"sequence_width": 9}, [2, 9]), ({"sequence_width": 2}, [2, 4])):
        (batch,) = batches(data, Config(Path(), Path(), Path(), **options))
        assert list(batch.tokens.shape) == shape


def test_rewards_are_those_of_the_data_within_groups_of_any_size():
    samples = [Sample(group, index, "", "", reward=9.0) for index, group in enumerate((4, 4, 4, 2, 2))]
    data = {"rewards": [0.0, 3.0, 0.0, 1.0, 1.0], "sample_indices": [0, 1, 2, 3, 4]}
    learner = SimpleNamespace(_config=Config(Path(), Path(), Path(), samples_per_prompt=4), _args=ARGS)
    found = Learner._rewards(learner, data, samples)
    assert found == pytest.approx([-(0.5**0.5), 2**0.5, -(0.5**0.5), 0.0, 0.0], abs=1e-5)


@pytest.mark.parametrize("reward", [1 / 3, 0.1, 0.7])
@pytest.mark.parametrize("size", range(2, 12))
def test_a_group_of_equal_rewards_teaches_nothing_whatever_rounding_leaves(reward, size):
    samples = [Sample(0, index, "", "", reward=reward) for index in range(size)]
    data = {"rewards": [reward] * size, "sample_indices": list(range(size))}
    learner = SimpleNamespace(_config=Config(Path(), Path(), Path()), _args=ARGS)
    assert Learner._rewards(learner, data, samples) == pytest.approx([0.0] * size, abs=1e-9)
