"""Rewards, filters and masks against tables that were written by hand."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import _shared  # noqa: F401  the package is then found
import pytest
import torch
from posttrain import hooks
from posttrain.arguments import BadArguments, Config
from posttrain.learner import Learner
from posttrain.rollout import function
from posttrain.sample import Sample
from posttrain.task.data_source import DataSource
from posttrain.task.problems import all_problems, write_problems
from posttrain.training.advantages import whitened
from posttrain.training.data import sum_of_sample_mean
from posttrain.training.objective import PolicyObjective

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


def test_two_tokens_are_whitened_one_is_not():
    two, one = torch.tensor([1.0, 3.0]), torch.tensor([5.0])
    assert whitened([two], two)[0].tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5], abs=1e-5)
    assert whitened([one], one)[0].tolist() == [5.0]


def test_the_mean_of_a_sample_is_over_what_learns():
    data = {"response_lengths": [1, 3], "loss_masks": [torch.ones(1), torch.tensor([1.0, 0.0, 1.0])]}
    assert sum_of_sample_mean(torch.tensor([1.0, 2.0, 3.0, 6.0]), data) == 1 + (2 + 6) / 2


def test_every_draw_of_every_step_and_replica_samples_by_another_seed():
    seeds = []

    class Engine:
        def generate(self, samples, *, seed):
            seeds.append(seed)

    class Source:
        def get_samples(self, count):
            return [[sample(0, 0.0)] for _ in range(count)]

        def add_samples(self, samples):
            """Nothing is too much."""

    globals()["answer_of_filter"] = lambda _args, _samples: False
    args = SimpleNamespace(seed=3, world_size=2, rollout_batch_size=2, rollout_engine=Engine(), group_rm=False)
    args.dynamic_sampling_filter_path = f"{__name__}.answer_of_filter"
    args.custom_rm_path = "posttrain.hooks.rule_based_reward"
    for path in ("custom_generate_function", "rollout_sample_filter", "rollout_all_samples_process"):
        setattr(args, f"{path}_path", None)
    for step in (1, 2):
        for args.rank in (0, 1):
            function.generate_rollout(args, step, Source())
    assert len(set(seeds)) == len(seeds) == 4 * function.MAX_DRAWS, f"seeds are used twice: {seeds}"


def test_responses_that_were_cut_off_do_not_learn():
    data = {"truncated": [0, 1], "loss_masks": [1, 1]}
    hooks.mask_truncated(ARGS, 0, data)
    assert data["loss_masks"] == [1, 0]


def test_a_place_that_other_replicas_load_is_that_of_the_furthest(tmp_path):
    def source(rank, world):
        args = SimpleNamespace(rank=rank, world_size=world, data_path=data, rollout_id=1, seed=0)
        args.n_samples_per_prompt, args.buffer_filter_path = 1, "posttrain.hooks.pop_first"
        args.save = args.load = tmp_path
        return DataSource(args)

    data = tmp_path / "train.jsonl"
    write_problems(data, list(all_problems()))
    for rank, draws in ((0, 1), (1, 3)):
        behind = source(rank, world=2)
        for _ in range(draws):
            drawn = behind.get_samples(8)
        behind.save(1)
    furthest = drawn[-1][0].group_index
    loaded = source(0, world=1)
    loaded.load(1)
    ((next_one,),) = loaded.get_samples(1)
    assert next_one.group_index == furthest + 1, f"group {next_one.group_index} comes after group {furthest}"


def test_hooks_that_see_whole_sequences_do_not_go_with_context_parallelism():
    path = "posttrain.hooks.keep_mixed_groups"  # any function
    for hook in ("loss", "tis", "pg_loss_reducer"):
        options = {f"custom_{hook}_function_path": path, "context_parallel": 2}
        with pytest.raises(BadArguments, match="do not go with --context-parallel"):
            PolicyObjective(Config(Path(), Path(), Path(), **options))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
