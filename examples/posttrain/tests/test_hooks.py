"""The example's trainer loads its hooks by function path and uses what they return; bad arguments are sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from posttrain.arguments import BadArguments, Config
from posttrain.backends.base import Replica
from posttrain.rollout import saved
from posttrain.sample import Rollout, Sample
from posttrain.training.data import add_loss_weights, batches, convert_samples, to_tensors
from posttrain.training.objective import PolicyObjective

from trainci.contracts import TABLES

pytestmark = pytest.mark.slow

NUM_GPUS = 0
POSTTRAIN = Path(__file__).parents[1]
# Both runs together name every hook of trainci's table; custom-loss-function-path leaves no room for the others.
ALL_BUT_LOSSES = {
    "rollout-function-path": "rollout",
    "eval-function-path": "evaluate",
    "custom-generate-function-path": "generate",
    "custom-rm-path": "reward",
    "dynamic-sampling-filter-path": "keep_all_but_the_first",
    "buffer-filter-path": "take_last",
    "data-source-path": "Source",
    "rollout-sample-filter-path": "remove_last_group",
    "rollout-all-samples-process-path": "process_all",
    "rollout-data-postprocess-path": "postprocess",
    "custom-loss-function-path": "loss",
    "custom-reward-post-process-path": "post_process_rewards",
    "custom-convert-samples-to-train-data-path": "convert",
    "custom-rollout-log-function-path": "log_rollout",
    "custom-eval-rollout-log-function-path": "log_evaluation",
    "custom-megatron-init-path": "megatron_init",
    "custom-megatron-before-log-prob-hook-path": "before_log_prob",
    "custom-megatron-before-train-step-hook-path": "before_train_step",
}
OTHER_FORMS = {
    "custom-rm-path": "group_reward",
    "dynamic-sampling-filter-path": "keep",
    "custom-tis-function-path": "importance_sampling",
    "custom-pg-loss-reducer-function-path": "loss_reducer",
    "custom-rollout-log-function-path": "log_rollout",
    "custom-eval-rollout-log-function-path": "log_evaluation",
}
Row = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from posttrain.task import assets

    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory)
    return directory


def train(
    made: Path, tmp_path: Path, *arguments: str, ranks: int = 1, logged: bool = False
) -> subprocess.CompletedProcess[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "train.py"]
    data = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl"]
    run = ["--metrics-path", f"{tmp_path}/metrics.jsonl", "--prompts-per-step", "4", "--samples-per-prompt", "2"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "CALLS": f"{tmp_path}/calls",
        "LOGGED": "yes" if logged else "no",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *launch, *data, *run, *arguments],
        cwd=POSTTRAIN,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def trained(made: Path, tmp_path: Path, *arguments: str, **run: Any) -> list[Row]:
    """The rows of the metrics."""
    ended = train(made, tmp_path, *arguments, **run)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def options(paths: dict[str, str]) -> list[str]:
    return [word for option, name in paths.items() for word in (f"--{option}", f"_own_hooks.{name}")]


def calls_of(tmp_path: Path) -> dict[str, list[Row]]:
    """What each hook saw, call by call."""
    calls: dict[str, list[Row]] = {}
    for line in (tmp_path / "calls").read_text().splitlines():
        call = json.loads(line)
        calls.setdefault(call.pop("hook"), []).append(call)
    return calls


def test_the_runs_below_name_every_hook_of_the_table() -> None:
    assert {*ALL_BUT_LOSSES, *OTHER_FORMS} == set(TABLES["slime"].options)


def test_every_hook_is_called_and_its_answer_is_used(made: Path, tmp_path: Path) -> None:
    """Two steps of 4 groups of 3 samples, as generation makes two of one prompt in two."""
    rows = trained(made, tmp_path, *options(ALL_BUT_LOSSES), "--num-steps", "2")
    calls = calls_of(tmp_path)
    # The first step draws twice, as the filter drops a group; the second takes one of the three that were too many.
    assert {hook: len(seen) for hook, seen in calls.items()} == {
        "init": 1,
        "rollout": 2,
        "source": 3,
        "buffer": 1,
        "generate": 2 * (8 + 3),
        "reward": 3 * (8 + 3),
        "filter": 8 + 4,
        "sample filter": 2,
        "all samples": 2,
        "log": 2,
        "convert": 2,
        "before log prob": 2,
        "rewards": 2,
        "postprocess": 2,
        "before train step": 2,
        "loss": 2,
        "evaluation": 1,
        "evaluation log": 1,
    }
    assert [call["rollout"] for call in calls["rollout"]] == [1, 2]
    assert all(call["source"] == "own" for call in calls["generate"]), "the data source of the hook was not used"
    seeds = [call["seed"] for call in calls["generate"]]
    assert len(set(seeds)) == len(seeds), "two samples are to be sampled by one seed"
    assert calls["buffer"] == [{"rollout": 2, "waiting": [5, 6, 7]}], "what was sampled too much was not kept"
    assert calls["sample filter"] == [{"groups": [1, 2, 3, 4]}, {"groups": [7, 8, 9, 10]}], (
        "the answer of the dynamic filter or of the buffer filter was not used"
    )
    assert calls["all samples"] == [
        {"groups": [1, 2, 3, 4, 5, 6, 7, 0], "source": "Source"},
        {"groups": [7, 8, 9, 10], "source": "Source"},
    ]
    assert calls["log"] == [
        {"rollout": step, "groups": groups, "samples": 12, "metrics": {"from_rollout": 5.0}}
        for step, groups in ((1, [1, 2, 3, 4]), (2, [7, 8, 9, 10]))
    ]
    for step, call in enumerate(calls["postprocess"], 1):
        assert call == {"rollout": step, "advantages": [10.0, 11.0], "converted": [12] * 12, "removed": 3}, (
            "the answer of the reward post-process, the convert or the sample filter hook was not used"
        )
    assert calls["before log prob"] == [{"prefix": ""}] * 2
    assert calls["before train step"] == [{"rollout": step, "step": 0, "modules": 1} for step in (1, 2)]
    assert calls["evaluation"] == [{"rollout": 2, "evaluation": True, "version": 2}]
    assert calls["evaluation log"] == [{"rollout": 2, "data": ["mine"], "metrics": {"eval/extra": 2.0}}]
    for row in rows[1:]:
        assert row["from_rollout"] == 5.0
        assert row["reward"] == pytest.approx(3 + 1 / 3), "the reward of the hook was not used"
        assert row["from_loss"] == 0.25, "the metrics of the loss hook were not reported"
        assert 0 < row["tokens"] <= 3, "the masks of the postprocess hook were not used"
        assert row["grad_norm"] > 0
        # One sample learns, by an advantage of 10 or 11.
        assert round(-row["loss"] / row["log_prob"], 3) in (10, 11), "the loss of the hook was not used"
    assert (rows[2]["eval/mine"], rows[2]["eval/extra"]) == (0.5, 2.0)
    assert rows[1]["log_prob_gap"] > 1e-2, "the hook before log-probabilities came too late"
    assert rows[0]["weights"] != rows[1]["weights"]
    assert rows[1]["weights"] == rows[2]["weights"], "the hook before the train step came too late"


def test_hooks_have_other_forms(made: Path, tmp_path: Path) -> None:
    """Rewards of whole groups, a bool for a filter, corrections of the loss, and logging by the hooks alone."""
    evaluation = ["--eval-function-path", "posttrain.rollout.function.generate_rollout"]
    rows = trained(made, tmp_path, *options(OTHER_FORMS), *evaluation, "--group-rm", logged=True)
    calls = calls_of(tmp_path)
    assert {hook: len(seen) for hook, seen in calls.items()} == {
        "group reward": 8 + 4,  # the evaluation's, too
        "filter": 8,
        "log": 1,
        "tis": 1,
        "reducer": 1,
        "evaluation log": 1,
    }
    assert calls["log"][0]["groups"] == [1, 2, 3, 4], "the answer of the dynamic filter was not used"
    assert calls["tis"][0]["lengths"] == ["response_lengths", "total_lengths"]
    assert calls["tis"][0]["gap"] < 1e-4
    (reducer,) = calls["reducer"]
    assert not reducer["per_token"]
    assert reducer["shortest_prompt"] > 1, "the hook was given other lengths"
    assert rows[1]["loss"] == 3.0, "the losses or the masks of the tis hook, or the reducer, were not used"
    assert rows[1]["from_tis"] == 4.0
    assert not {"reward", "eval/problems"} & set(rows[1]), (
        "the log hooks said True, and the trainer logged all the same"
    )


def test_a_fully_asynchronous_run_is_repeated_from_its_saved_rollouts(made: Path, tmp_path: Path) -> None:
    """Which weights sampled which group is a matter of time; only the saved samples lead to the same numbers."""
    first, again = tmp_path / "first", tmp_path / "again"
    for directory in (first, again):
        directory.mkdir()
    fully_async = ["--rollout-function-path", "posttrain.rollout.fully_async.generate_rollout"]
    save = ["--custom-rm-path", "_own_hooks.reward", "--save-rollout", f"{tmp_path}/saved/rollouts"]
    save += options({"rollout-all-samples-process-path": "process_all"})
    save += ["--eval-function-path", fully_async[1]]
    rows = trained(made, first, *fully_async, *save, "--num-steps", "4", ranks=2)
    for row in rows[1:]:
        assert row["step"] - 2 <= row["rollout_version"] <= row["rollout_version_max"] == row["step"] - 1
    assert any(row["rollout_version"] < row["rollout_version_max"] for row in rows[1:]), (
        "the worker waited for the steps"
    )
    assert rows[-1]["grad_norm"] > 0
    calls = calls_of(first)
    evaluated = 2 * 2  # by one of two replicas
    assert len(calls["reward"]) == 4 * 4 * 2 + evaluated, "other groups were sampled than four steps need"
    assert sum(len(call["groups"]) for call in calls["all samples"]) == 4 * 4
    assert rows[-1].pop("eval/problems") == 3.5
    loaded = trained(made, again, "--load-rollout", f"{tmp_path}/saved/rollouts", "--num-steps", "4", ranks=2)
    assert loaded == rows
    assert not (again / "calls").exists(), "a run that loads its rollouts asked for rewards"


def test_samples_that_take_long_are_of_one_version(made: Path, tmp_path: Path) -> None:
    """The update of a step is done long before the samples of the next one are."""
    slow = ["--custom-generate-function-path", "_own_hooks.generate_late", "--custom-rm-path", "_own_hooks.reward"]
    rows = trained(made, tmp_path, "--async-rollout", "--num-steps", "2", *slow)
    assert [(row["rollout_version"], row["rollout_version_max"]) for row in rows[1:]] == [(0, 0), (0, 0)]


def loss_of_four(args, batch, logits, sum_of_sample_mean):
    return logits.sum() * 0 + 4.0, {"told": 2.0}


def reducer_to_four(total_lengths, response_lengths, loss_masks, calculate_per_token_loss):
    return lambda losses: losses.sum() * 0 + 4.0


@pytest.mark.parametrize(
    "hook", ["custom_loss_function_path=loss_of_four", "custom_pg_loss_reducer_function_path=reducer_to_four"]
)
def test_a_hook_gives_a_sum_that_is_shared_by_the_samples_of_all_ranks(hook):
    option, _, name = hook.partition("=")
    config = Config(Path(), Path(), Path(), micro_batch_size=1, **{option: f"{__name__}.{name}"})
    samples = [Sample(0, n, "", "", tokens=[1, 2], response_length=1, reward=0.0) for n in range(2)]
    for sample in samples:
        sample.rollout_log_probs = [-1.0]
    data = to_tensors(convert_samples(None, samples), torch.device("cpu"))
    data["log_probs"] = data["advantages"] = data["rollout_log_probs"]
    data["all_samples"] = 8  # of four ranks
    add_loss_weights(data, tokens=8, samples=8, per_token=False)
    objective = PolicyObjective(config)
    for batch in batches(data, config):
        loss, metrics = objective.loss(torch.zeros(1, 2, 4), batch)
        assert loss == 0.5
        assert metrics.get("told", 0.25) == 0.25


def reducer_that_tells(total_lengths, response_lengths, loss_masks, calculate_per_token_loss):
    return lambda losses: losses.sum() * 0 + (10.0 if calculate_per_token_loss else 20.0)


def importance_of_training(*, pg_loss, train_log_probs, rollout_log_probs, loss_masks, **_more):
    gap = torch.cat(train_log_probs) - torch.cat(rollout_log_probs)
    return pg_loss * 0 + gap, loss_masks, {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"custom_pg_loss_reducer_function_path": "reducer_that_tells", "per_token_loss": True}, 10.0),
        ({"custom_pg_loss_reducer_function_path": "reducer_that_tells"}, 20.0),
        ({"custom_tis_function_path": "importance_of_training"}, 3.0),
    ],
)
def test_a_hook_of_the_loss_is_told_how_tokens_count_and_which_engine_said_what(options, expected):
    paths = {name: f"{__name__}.{value}" if isinstance(value, str) else value for name, value in options.items()}
    config = Config(Path(), Path(), Path(), **paths)
    sample = Sample(0, 0, "", "", tokens=[1, 2], response_length=1, reward=0.0, rollout_log_probs=[-4.0])
    data = to_tensors(convert_samples(None, [sample]), torch.device("cpu"))
    data["log_probs"], data["advantages"], data["all_samples"] = [torch.tensor([-1.0])], [torch.ones(1)], 1
    add_loss_weights(data, tokens=1, samples=1, per_token=config.per_token_loss)
    (batch,) = batches(data, config)
    loss, _ = PolicyObjective(config).loss(torch.zeros(1, 2, 4), batch)
    assert loss == expected


def test_a_missing_or_foreign_rollout_is_named(tmp_path: Path) -> None:
    replica = Replica(0, 2, group=None, leader=0)
    sample = Sample(0, 0, "1 + 1?", "#### 2", tokens=[1, 2], status=Sample.Status.TRUNCATED, reward=0.5)
    rollout = Rollout([sample], {"from_rollout": 1.0}, 2.0)
    saved.write(tmp_path, 3, replica, rollout)
    assert saved.read(tmp_path, 3, replica) == rollout
    for step, other in ((4, replica), (3, Replica(1, 2, group=None, leader=1)), (3, Replica(0, 1, None, 0))):
        with pytest.raises(
            BadArguments, match=r"--load-rollout: .*\.pt does not exist; save the rollouts of as many"
        ):
            saved.read(tmp_path, step, other)
    (file,) = tmp_path.iterdir()
    for foreign in (b"no torch file", b"", file.read_bytes()[:500]):
        file.write_bytes(foreign)
        with pytest.raises(BadArguments, match="is no rollout of --save-rollout"):
            saved.read(tmp_path, 3, replica)
    for object_ in ([1], {"model": {}}, {"samples": [{"status": "completed"}], "metrics": {}, "seconds": 1.0}):
        torch.save(object_, file)
        with pytest.raises(BadArguments, match="is no rollout of --save-rollout"):
            saved.read(tmp_path, 3, replica)
    torch.save(Touches(tmp_path / "touched"), file)
    with pytest.raises(BadArguments, match="is no rollout of --save-rollout"):
        saved.read(tmp_path, 3, replica)
    assert not (tmp_path / "touched").exists(), "a file of rollouts ran code"


class Touches:
    """To read it is to make a file."""

    def __init__(self, path: Path):
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


@pytest.mark.parametrize(
    ("arguments", "ranks", "said"),
    [
        (["--backend", "nemo"], 1, "train.py: error: there is no --backend 'nemo'; there are: fsdp, megatron"),
        (["--prompts-per-step", "3"], 2, "train.py: error: --prompts-per-step 3 must divide by 2 replicas"),
        (
            ["--custom-eval-rollout-log-function-path", "no.such.hook"],  # nothing calls it before the end
            1,
            "error: cannot load the hook 'no.such.hook'",
        ),
        (["--load-rollout", "/no/such/directory"], 1, "train.py: error: --load-rollout: /no/such/directory/step-1"),
        (
            ["--backend", "megatron", "--tensor-parallel", "2", "--pipeline-parallel", "2"],
            2,
            "2 ranks do not divide into copies of 2 tensor x 2 pipeline x 1 context parallel ranks",
        ),
        (
            ["--backend", "megatron", "--micro-batch-size", "3"],
            1,
            "train.py: error: --micro-batch-size 3 does not divide 8 samples",
        ),
    ],
)
def test_bad_arguments_are_a_sentence_and_exit_2(
    made: Path, tmp_path: Path, arguments: list[str], ranks: int, said: str
) -> None:
    """From wherever they are found out: each case is a launch, and what else is refused is asked where it is."""
    ended = train(made, tmp_path, *arguments, ranks=ranks)
    assert said in ended.stderr
    assert str(POSTTRAIN / "train.py") not in ended.stderr, (
        "a rank ended in a traceback; torchrun's own is not ours"
    )
    assert "exitcode  : 2 " in ended.stderr
