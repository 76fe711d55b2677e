"""Rewards, filters and masks against tables that were written by hand."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import _shared  # noqa: F401  the package is then found
import pytest
import torch
from posttrain import checkpoint, hooks
from posttrain.arguments import BadArguments, Config, parse_args
from posttrain.backends.base import Replica
from posttrain.learner import Learner, _reverse_kl
from posttrain.rollout import fully_async, function
from posttrain.rollout.sampler import over_ranks
from posttrain.sample import Sample, members
from posttrain.task.data_source import DataSource
from posttrain.task.problems import Problem, all_problems, read_problems, write_problems
from posttrain.training.advantages import whitened
from posttrain.training.data import convert_samples, sum_of_sample_mean
from posttrain.training.losses import reinforce_loss
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
DEFAULTS = {
    # GRPO with DAPO's bounds (arXiv:2503.14476), λ of PPO (arXiv:1707.06347); nothing is cold or discounted.
    "temperature": 1.0, "advantage_estimator": "grpo", "per_token_loss": False,
    "clip_low": 0.2, "clip_high": 0.28, "value_clip": 0.2, "gae_gamma": 1.0, "gae_lambda": 0.95,
    "use_tis": False, "tis_clip": 2.0, "mtp_loss_weight": 0.0, "critic_warmup_steps": 0,
    "learning_rate": 2e-3, "critic_learning_rate": 2e-3, "max_grad_norm": 1.0,
    "prompts_per_step": 32, "samples_per_prompt": 8, "max_new_tokens": 3, "num_steps": 1, "seed": 0,
    "micro_batch_size": 0, "sequence_width": 0, "save_interval": 1, "backend": "fsdp", "dtype": "auto",
    "tensor_parallel": 1, "pipeline_parallel": 1, "context_parallel": 1, "expert_parallel": 1,
    "moe_dispatcher": "allgather", "teacher_url": None, "save": None, "load": None, "save_rollout": None,
    "load_rollout": None, "async_rollout": False, "true_on_policy": False, "fp8_rollout": False,
    "routing_replay": False, "async_save": False, "optimizer_on_cpu": False, "group_rm": False,
}  # fmt: skip
LEAST = {
    **dict.fromkeys(("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"), 1),
    **dict.fromkeys(("num_steps", "prompts_per_step", "samples_per_prompt", "max_new_tokens", "save_interval"), 1),
    **dict.fromkeys(("micro_batch_size", "sequence_width", "critic_warmup_steps"), 0),
}
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
    same = source(0, world=2)
    same.load(1)
    assert same.get_samples(1)[0][0].group_index == 16, "a replica goes on from another's place"
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


def command(tmp_path, *options):
    for name in ("model", "data"):
        (tmp_path / name).touch()
    return [
        f"--model-path={tmp_path}/model",
        f"--data-path={tmp_path}/data",
        f"--metrics-path={tmp_path}/m",
        *options,
    ]


def test_what_is_not_said_is_what_the_papers_say(tmp_path):
    found = vars(parse_args(command(tmp_path)))
    hooks_and_paths = {name for name in found if name.endswith("_path")}
    assert found.keys() - hooks_and_paths == DEFAULTS.keys()
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS


def test_a_config_that_was_not_read_is_the_same(tmp_path):
    options = command(tmp_path)
    assert Config(tmp_path / "model", tmp_path / "data", tmp_path / "m") == parse_args(options)


@pytest.mark.parametrize("name", LEAST)
def test_the_least_number_is_taken_and_one_less_refused(tmp_path, capsys, name):
    flag, least = "--" + name.replace("_", "-"), LEAST[name]
    assert getattr(parse_args(command(tmp_path, flag, str(least))), name) == least
    with pytest.raises(SystemExit):
        parse_args(command(tmp_path, f"{flag}={least - 1}"))
    assert f"{least - 1} is less than {least}" in capsys.readouterr().err


def test_hooks_read_the_names_of_other_trainers():
    config = Config(
        Path(), Path(), Path(), samples_per_prompt=5, temperature=0.5, max_new_tokens=9, per_token_loss=True
    )
    args = hooks.hook_args(config, rank=3)
    assert (args.n_samples_per_prompt, args.rollout_temperature, args.rollout_max_response_len) == (5, 0.5, 9)
    assert (args.calculate_per_token_loss, args.rank, args.seed) == (True, 3, 0)


def test_every_option_is_read(tmp_path):
    config = parse_args(
        command(tmp_path, "--async-rollout", "--gae-lambda", "0.5", "--seed", "7", "--save", "here")
    )
    assert (config.async_rollout, config.gae_lambda, config.seed, config.save) == (True, 0.5, 7, Path("here"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--advantage-estimator", "opd"], "--advantage-estimator opd and --teacher-url go together"),
        (["--teacher-url", "http://there/generate"], "--advantage-estimator opd and --teacher-url go together"),
        (["--eval-function-path", "a.b", "--load-rollout", "there"], "it does not go with --load-rollout"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
    ],
)
def test_options_that_mean_nothing_are_refused(tmp_path, capsys, options, said):
    with pytest.raises(SystemExit):
        parse_args(command(tmp_path, *options))
    assert said in capsys.readouterr().err


def test_a_path_that_is_not_there_is_refused(tmp_path, capsys):
    for name in ("model", "data"):
        options = command(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(SystemExit):
            parse_args(options)
        assert f"{name} does not exist" in capsys.readouterr().err


def test_what_is_reported_is_of_all_ranks():
    told = {"logged": False, "reward": 1.0, "oldest": 3, "newest": 4, "count": 8}
    other = {**told, "reward": 0.5, "oldest": 2, "newest": 5}
    for ranks in ([told, other], [other, told]):
        expected = {"reward": 0.75, "rollout_version": 2, "rollout_version_max": 5}
        assert over_ranks(ranks, 1) == expected
    assert over_ranks([told, {**other, "logged": True}], 1) == {}
    fewer = [told, {**other, "count": 7}]
    assert over_ranks(fewer, 0)["reward"] == 0.75
    with pytest.raises(BadArguments, match=r"replicas made \[7, 8\] samples"):
        over_ranks(fewer, 1)


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


def test_a_worker_asks_one_group_after_the_other_and_gives_up_on_a_filter():
    globals()["answer_of_filter"] = lambda _args, samples: samples[0].group_index in (2, 3)
    args, source = rollout_args(dynamic_sampling_filter_path=f"{__name__}.answer_of_filter"), Drawn()
    chosen = [fully_async.generate_rollout(args, step, source) for step in (1, 2)]
    groups = [[group[0].group_index for group in step] for step in chosen]
    last = function.MAX_DRAWS
    assert groups == [[2, 3, 3 + last], [3 + 2 * last, 3 + 3 * last, 3 + 4 * last]], (
        "what the filter refused was kept"
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


def test_a_group_is_drawn_again_where_one_of_it_waits():
    class Source(Drawn):
        def get_samples(self, count):
            half = [sample(0, 0.0), sample(1, 0.0)]
            half[0].status = Sample.Status.COMPLETED
            return [half]

    args = rollout_args(rollout_batch_size=1)
    function.generate_rollout(args, 1, Source())
    assert len(args.rollout_engine.seeds) == 1


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


def test_problems_come_back_as_they_were_written(tmp_path):
    data = tmp_path / "train.jsonl"
    problems = [Problem("1 + 1?", "#### 2"), Problem("How many?", "#### 4", "pictures/4.npy")]
    write_problems(data, problems)
    there = str(tmp_path / "pictures" / "4.npy")
    assert read_problems(data) == [problems[0], Problem("How many?", "#### 4", there)]
    data.write_text(data.read_text() + '{"question": "2 + 2?"}\n')
    with pytest.raises(ValueError, match=r'train.jsonl:3: not an object with "question" and "answer"'):
        read_problems(data)
    data.write_text("")
    with pytest.raises(ValueError, match="holds no problem"):
        read_problems(data)
    assert [(problem.question, problem.answer.splitlines()[-1]) for problem in all_problems()] == [
        (f"What is {a} + {b}?", f"#### {a + b}") for a in range(3) for b in range(3)
    ]


def test_a_group_may_hold_several_samples_of_one():
    assert members([1, [2, 3], 4]) == [1, 2, 3, 4]


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


def test_a_checkpoint_that_is_gone_is_no_fresh_start(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    (tmp_path / "latest").write_text("step_000004\n")
    with pytest.raises(BadArguments, match="names step_000004, which is gone"):
        checkpoint.newest(tmp_path)


def test_a_run_does_not_save_over_a_later_one(tmp_path):
    config = Config(Path(), Path(), Path(), save=tmp_path)
    place = SimpleNamespace(replica=Replica(0, 1, group=None, leader=0))
    (tmp_path / "step_000004").mkdir()
    (tmp_path / "latest").write_text("step_000004\n")
    checkpoint.Checkpoints(config, {}, place, checkpoint.Start(4))
    with pytest.raises(BadArguments, match="holds step_000004 already, and this run begins after step 3"):
        checkpoint.Checkpoints(config, {}, place, checkpoint.Start(3))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
