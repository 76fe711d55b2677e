"""The command line: what is taken and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from posttrain.arguments import BadArguments, Config, parse_args
from posttrain.training.objective import PolicyObjective

NUM_GPUS = 0
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


def test_hooks_that_see_whole_sequences_do_not_go_with_context_parallelism():
    path = "posttrain.hooks.keep_mixed_groups"  # any function
    for hook in ("loss", "tis", "pg_loss_reducer"):
        options = {f"custom_{hook}_function_path": path, "context_parallel": 2}
        with pytest.raises(BadArguments, match="do not go with --context-parallel"):
            PolicyObjective(Config(Path(), Path(), Path(), **options))
