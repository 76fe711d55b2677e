"""The command line: what is not said, what is refused, and what hooks are told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from posttrain import hooks
from posttrain.arguments import BadArguments, Config, parse_args
from posttrain.training.objective import PolicyObjective

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
    # Without a word of theirs, hooks are the package's own, or there is none.
    "rollout_function_path": "posttrain.rollout.function.generate_rollout",
    "custom_rm_path": "posttrain.hooks.rule_based_reward", "buffer_filter_path": "posttrain.hooks.pop_first",
    "data_source_path": "posttrain.task.data_source.DataSource",
}  # fmt: skip
LEAST = {
    **dict.fromkeys(("tensor_parallel", "pipeline_parallel", "context_parallel", "expert_parallel"), 1),
    **dict.fromkeys(("num_steps", "prompts_per_step", "samples_per_prompt", "max_new_tokens", "save_interval"), 1),
    **dict.fromkeys(("micro_batch_size", "sequence_width", "critic_warmup_steps"), 0),
}


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
    assert found.keys() - hooks_and_paths == DEFAULTS.keys() - hooks_and_paths
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS
    said = {"model_path", "data_path", "metrics_path", *DEFAULTS}
    assert {found[name] for name in hooks_and_paths - said} == {None}


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
    with pytest.raises(SystemExit):
        parse_args([*command(tmp_path), f"--metrics-path={tmp_path}/nowhere/m"])
    assert "nowhere does not exist" in capsys.readouterr().err


def test_hooks_read_the_names_of_other_trainers():
    config = Config(
        Path(), Path(), Path(), samples_per_prompt=5, temperature=0.5, max_new_tokens=9, per_token_loss=True
    )
    args = hooks.hook_args(config, rank=3)
    assert (args.n_samples_per_prompt, args.rollout_temperature, args.rollout_max_response_len) == (5, 0.5, 9)
    assert (args.calculate_per_token_loss, args.rank, args.seed) == (True, 3, 0)


def test_hooks_that_see_whole_sequences_do_not_go_with_context_parallelism():
    path = "posttrain.hooks.keep_mixed_groups"  # any function
    for hook in ("loss", "tis", "pg_loss_reducer"):
        options = {f"custom_{hook}_function_path": path, "context_parallel": 2}
        with pytest.raises(BadArguments, match="do not go with --context-parallel"):
            PolicyObjective(Config(Path(), Path(), Path(), **options))
