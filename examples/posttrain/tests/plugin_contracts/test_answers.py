"""What the hooks of the package answer, against tables that were written by hand; without torch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest
from posttrain import hooks
from posttrain.arguments import Config
from posttrain.rollout import function
from posttrain.sample import Sample, members
from posttrain.task.reward import final_answer

NUM_GPUS = 0
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
    ("1 #### 3 ####", "#### 3", 1.0),
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


def test_responses_that_were_cut_off_do_not_learn():
    data = {"truncated": [0, 1], "loss_masks": [1, 1]}
    hooks.mask_truncated(ARGS, 0, data)
    assert data["loss_masks"] == [1, 0]


def test_hooks_read_the_names_of_other_trainers():
    config = Config(
        Path(), Path(), Path(), samples_per_prompt=5, temperature=0.5, max_new_tokens=9, per_token_loss=True
    )
    args = hooks.hook_args(config, rank=3)
    assert (args.n_samples_per_prompt, args.rollout_temperature, args.rollout_max_response_len) == (5, 0.5, 9)
    assert (args.calculate_per_token_loss, args.rank, args.seed) == (True, 3, 0)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("####7", "7"),
        ("#### 1,234", "1234"),
        ("#### -5", "-5"),
        ("#### 1 #### 2", "2"),
        ("7", None),
        ("#### seven", None),
        ("### 7", None),
        ("", None),
    ],
)
def test_the_final_answer_is_the_number_after_the_last_hashes(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer
