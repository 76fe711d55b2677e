"""Which prompts are drawn, by which chance, how often, and in whose thread."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

from posttrain.rollout import fully_async, function
from posttrain.sample import Sample
from posttrain.task.data_source import DataSource, batch
from posttrain.task.problems import all_problems, write_problems

NUM_GPUS = 0


def sample(group, reward, response=""):
    return Sample(group, 0, "", "", response=response, reward=reward)


class Drawn:
    """An engine and a data source that note what they are asked for."""

    def __init__(self, args=None):
        self.seeds, self.threads, self.groups = [], set(), 0

    def generate(self, samples, *, seed):
        self.seeds.append(seed)
        for one in samples:
            one.status = Sample.Status.TRUNCATED if one.group_index % 2 else Sample.Status.COMPLETED

    def get_samples(self, count):
        self.threads.add(threading.get_ident())
        time.sleep(0.01)  # so that a second thread would have something to do
        self.groups += count
        return [[sample(group, 0.0)] for group in range(self.groups - count, self.groups)]

    def add_samples(self, samples):
        """Nothing is too much."""


def rollout_args(**changes):
    args = SimpleNamespace(seed=3, rank=0, world_size=2, rollout_batch_size=3, num_steps=2, group_rm=False)
    args.custom_rm_path, args.rollout_engine = "posttrain.hooks.rule_based_reward", Drawn()
    for path in ("custom_generate_function", "rollout_sample_filter", "rollout_all_samples_process"):
        setattr(args, f"{path}_path", None)
    args.dynamic_sampling_filter_path = None
    vars(args).update(changes)
    return args


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


def test_a_worker_asks_one_group_after_the_other_and_gives_up_on_a_filter():
    globals()["answer_of_filter"] = lambda _args, samples: samples[0].group_index in (2, 3)
    args, source = rollout_args(dynamic_sampling_filter_path=f"{__name__}.answer_of_filter"), Drawn()
    shown: dict[str, list[list[int]]] = {"chosen": [], "all": []}
    globals()["see_chosen"] = lambda _args, groups: shown["chosen"].append([one[0].group_index for one in groups])
    globals()["see_all"] = lambda _args, groups, _data: shown["all"].append([one[0].group_index for one in groups])
    args.rollout_sample_filter_path = f"{__name__}.see_chosen"
    args.rollout_all_samples_process_path = f"{__name__}.see_all"
    chosen = [fully_async.generate_rollout(args, step, source) for step in (1, 2)]
    groups = [[group[0].group_index for group in step] for step in chosen]
    last = function.MAX_DRAWS
    assert groups == [[2, 3, 3 + last], [3 + 2 * last, 3 + 3 * last, 3 + 4 * last]], (
        "what the filter refused was kept"
    )
    assert shown["chosen"] == groups, "the filter of samples was shown others than are trained on"
    assert [number for step in shown["all"] for number in step] == list(range(source.groups)), (
        "who processes all samples was not shown all that were drawn, in their order"
    )
    assert len(source.threads) == 1, "two threads draw at once"
    seeds = args.rollout_engine.seeds
    assert len(set(seeds)) == len(seeds)


def test_other_seeds_give_other_chance():
    def seeds(generate, seed):
        args = rollout_args(seed=seed)
        generate(args, 1, Drawn())
        return set(args.rollout_engine.seeds)

    for generate in (function.generate_rollout, fully_async.generate_rollout):
        first, again, other = (seeds(generate, seed) for seed in (3, 3, 4))
        assert first == again
        assert not first & other, f"{generate.__module__} does not read the run's seed"


def test_another_seed_is_not_this_one_some_steps_later():
    """Seeds and steps that are added up meet again."""
    args = [rollout_args(seed=seed) for seed in (3, 4, 5)]
    for one in args:
        for step in (1, 2, 3):
            function.generate_rollout(one, step, Drawn())
    seeds = [seed for one in args for seed in one.rollout_engine.seeds]
    assert len(set(seeds)) == len(seeds)
    problems = list(all_problems())
    batches = [tuple(batch(problems, 16, seed=seed, step=step)) for seed in (3, 4, 5) for step in (1, 2, 3)]
    assert len(set(batches)) == len(batches)


def test_groups_that_are_given_back_wait_beside_those_that_wait(tmp_path):
    data = tmp_path / "train.jsonl"
    write_problems(data, list(all_problems()))
    args = SimpleNamespace(rank=0, world_size=1, data_path=data, rollout_id=1, n_samples_per_prompt=1, seed=0)
    args.buffer_filter_path = "posttrain.hooks.pop_first"
    source = DataSource(args)
    drawn = source.get_samples(4)
    source.add_samples(drawn[:1])
    source.add_samples(drawn[1:3])
    assert source.get_samples(3) == drawn[:3]


def test_a_group_is_drawn_again_where_one_of_it_waits():
    class Source(Drawn):
        def get_samples(self, count):
            half = [sample(0, 0.0), sample(1, 0.0)]
            half[0].status = Sample.Status.COMPLETED
            return [half]

    args = rollout_args(rollout_batch_size=1)
    function.generate_rollout(args, 1, Source())
    assert len(args.rollout_engine.seeds) == 1


def test_an_evaluation_tells_what_was_cut_off():
    found = function.generate_rollout(rollout_args(), 1, Drawn(), evaluation=True)["problems"]
    assert found["truncated"] == [False, True, False]
    assert found["rewards"] == [0.0] * 3
    assert [one.group_index for one in found["samples"]] == [0, 1, 2]


def test_a_run_of_another_seed_has_other_prompts(tmp_path):
    data = tmp_path / "train.jsonl"
    write_problems(data, list(all_problems()))
    args = SimpleNamespace(rank=0, world_size=1, data_path=data, rollout_id=1, n_samples_per_prompt=1)
    args.buffer_filter_path = "posttrain.hooks.pop_first"
    first, again, other = (
        [group[0].prompt for group in DataSource(SimpleNamespace(**vars(args), seed=seed)).get_samples(20)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


async def noted(args, sample, sampling_params):
    args.told.append(sampling_params)
    return sample


def test_a_hook_that_generates_is_told_of_what_the_run_asks_for():
    args = rollout_args(custom_generate_function_path=f"{__name__}.noted", told=[])
    args.rollout_temperature, args.rollout_max_response_len = 0.7, 9
    function.generate_rollout(args, 1, Drawn())
    assert [(told["temperature"], told["max_new_tokens"]) for told in args.told] == [(0.7, 9)] * 3
