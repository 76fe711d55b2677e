"""Rewards, filters and groups against tables that were written by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from posttrain import hooks
from posttrain.arguments import Config
from posttrain.learner import Learner
from posttrain.rollout import function
from posttrain.sample import Sample, members

ARGS = SimpleNamespace(rollout_max_response_len=4)
REWARDS = [
    # A response, the answer of the data, what it earns.
    ("#### 3", "1 + 2 = 3\n#### 3", 1.0),
    ("#### 4", "1 + 2 = 3\n#### 3", 0.1),
    ("3", "1 + 2 = 3\n#### 3", 0.0),
    ("", "1 + 2 = 3\n#### 3", 0.0),
    ("#### 1 #### 3", "#### 3", 1.0),
    ("#### 3 #### 1", "#### 3", 0.1),
    ("#### 1,234", "#### 1234", 1.0),
    ("#### -5", "#### -5", 1.0),
    ("#### 5", "#### -5", 0.1),
    ("####3", "#### 3", 1.0),
    ("### 3", "#### 3", 0.0),
    ("#### 33", "#### 3", 0.1),
    ("####02", "#### 2", 1.0),
    ("#### 20", "#### 2", 0.1),
]
SHARES = [("1234", 1.0), ("12", 0.5), ("1a2b", 0.5), ("abc", 0.0), ("", 0.0)]


def sample(group, reward, response=""):
    return Sample(group, 0, "", "", response=response, reward=reward)


def test_the_rule_based_reward():
    for response, answer, expected in REWARDS:
        found = asyncio.run(hooks.rule_based_reward(ARGS, Sample(0, 0, "", answer, response=response)))
        assert found == expected, f"{response!r} earns {found} where the answer is {answer!r}, not {expected}"


def test_the_share_of_digits():
    for response, expected in SHARES:
        found = asyncio.run(hooks.digit_share(ARGS, Sample(0, 0, "", "", response=response)))
        assert found == expected, f"{response!r} earns {found}, not {expected}"


def test_groups_of_equal_rewards_are_dropped():
    for rewards, kept in (([1, 1, 1], False), ([0, 0, 0.1], True), ([0.5], False)):
        samples = [sample(0, reward) for reward in rewards]
        assert hooks.keep_mixed_groups(ARGS, samples) is kept, f"{rewards} is dealt with wrongly"


def test_the_filter_is_asked_and_its_word_counts():
    for answer, kept in ((True, True), (False, False), (SimpleNamespace(keep=False), False)):
        globals()["answer_of_filter"] = lambda _args, _samples, answer=answer: answer
        args = SimpleNamespace(dynamic_sampling_filter_path=f"{__name__}.answer_of_filter")
        assert function.is_kept(args, [sample(0, 1.0)]) is kept


def test_those_that_waited_longest_come_first():
    buffer = [1, 2, 3]
    assert hooks.pop_first(ARGS, 0, buffer, 2) == [1, 2]
    assert buffer == [3]


def test_rewards_are_centred_within_their_group():
    samples = [sample(1, 1.0), sample(2, 5.0), sample(1, 0.0), sample(2, 5.0)]
    raw, centred = hooks.centred_rewards(ARGS, samples)
    assert raw == [1.0, 5.0, 0.0, 5.0]
    assert centred == pytest.approx([0.5, 0.0, -0.5, 0.0])


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


def test_a_second_try_is_made_where_there_is_no_answer():
    for responses, kept in ((["#### 1"], 1), (["1", "#### 2"], 2), (["1", "2"], 2)):
        seeds = []

        def generate(samples, *, seed, seeds=seeds, responses=responses):
            samples[0].response = responses[len(seeds)]
            seeds.append(seed)

        args = SimpleNamespace(rollout_engine=SimpleNamespace(generate=generate))
        found = asyncio.run(hooks.generate_with_retry(args, sample(0, 0.0), {"sampling_seed": 5}))
        assert found.response == responses[-1]
        assert found.metadata["attempts"] == len(seeds) == len(set(seeds)) == kept


def test_a_group_may_hold_several_samples_of_one():
    assert members([1, [2, 3], 4]) == [1, 2, 3, 4]
