"""The example's trainer loads its hooks by function path and uses what they return; bad arguments are sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

POSTTRAIN = Path(__file__).parents[2] / "examples" / "posttrain"
# Each hook wraps the example's own, leaves a line in a file when called, and changes what the metrics will show.
HOOKS = """
import os
from posttrain import hooks, losses, rollout_function

def called(name):
    with open(os.environ["CALLS"], "a") as file:
        file.write(name + "\\n")

def rollout(args, rollout_id, data_source, evaluation=False):
    called("rollout")
    return rollout_function.generate_rollout(args, rollout_id, data_source, evaluation)

async def generate(args, sample, sampling_params):
    called("generate")
    return await hooks.generate_with_retry(args, sample, sampling_params)

async def rm(args, sample):
    called("rm")
    return 3.0 + sample.index % 2

def keep(args, samples):
    called("filter")
    return hooks.keep_mixed_groups(args, samples)

def rewards(args, samples):
    called("rewards")
    return hooks.centred_rewards(args, samples)

def postprocess(args, rollout_id, rollout_data):
    called("postprocess")
    *others, last = rollout_data["loss_masks"]
    rollout_data["loss_masks"] = [*(mask * 0 for mask in others), last]

def loss(args, batch, logits, sum_of_sample_mean):
    called("loss")
    value, metrics = losses.reinforce_loss(args, batch, logits, sum_of_sample_mean)
    return value, {**metrics, "from_the_hook": 0.25 * len(batch["response_lengths"])}
"""
PATHS = {
    "rollout-function-path": "rollout",
    "custom-generate-function-path": "generate",
    "custom-rm-path": "rm",
    "dynamic-sampling-filter-path": "keep",
    "custom-reward-post-process-path": "rewards",
    "rollout-data-postprocess-path": "postprocess",
    "custom-loss-function-path": "loss",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from posttrain import assets

    directory = tmp_path_factory.mktemp("assets") / "tiny"
    assets.ensure(directory)
    return directory


def train(made: Path, tmp_path: Path, *arguments: str, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "train.py"]
    data = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl"]
    run = ["--metrics-path", f"{tmp_path}/metrics.jsonl", "--prompts-per-step", "4", "--samples-per-prompt", "2"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "CALLS": f"{tmp_path}/calls", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launch, *data, *run, *arguments],
        cwd=POSTTRAIN,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_hook_is_called_and_its_answer_is_used(made: Path, tmp_path: Path) -> None:
    (tmp_path / "own_hooks.py").write_text(HOOKS)
    paths = [word for option, name in PATHS.items() for word in (f"--{option}", f"own_hooks.{name}")]
    ended = train(made, tmp_path, *paths)
    assert ended.returncode == 0, ended.stderr
    calls = (tmp_path / "calls").read_text().split()
    counts = {name: calls.count(name) for name in sorted(set(calls))}
    # 4 groups of 2 samples, one step.
    expected = {"filter": 4, "generate": 8, "loss": 1, "postprocess": 1, "rewards": 1, "rm": 8, "rollout": 1}
    assert counts == expected, "a hook was not called as often as one step needs"
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[1]["reward"] == 3.5, "the reward of the hook was not used"
    assert rows[1]["from_the_hook"] == 0.25, "the metrics of the loss hook were not reported"
    assert 0 < rows[1]["tokens"] <= 3, "the masks of the postprocess hook were not used"
    assert rows[1]["grad_norm"] > 0
    assert rows[0]["weights"] != rows[1]["weights"]


@pytest.mark.parametrize(
    ("arguments", "ranks", "said"),
    [
        (["--backend", "nemo"], 1, "train.py: error: there is no --backend 'nemo'; there are: fsdp, megatron"),
        (["--prompts-per-step", "3"], 2, "train.py: error: --prompts-per-step 3 must divide by 2 replicas"),
        (
            ["--custom-loss-function-path", "no.such.hook"],
            1,
            "error: cannot load the hook 'no.such.hook'",
        ),
        (["--data-path", "/no/such/file"], 1, "train.py: error: /no/such/file does not exist"),
        (["--num-steps", "0"], 1, "train.py: error: argument --num-steps: 0 is less than 1"),
    ],
)
def test_bad_arguments_are_a_sentence_and_exit_2(
    made: Path, tmp_path: Path, arguments: list[str], ranks: int, said: str
) -> None:
    ended = train(made, tmp_path, *arguments, ranks=ranks)
    assert said in ended.stderr
    assert str(POSTTRAIN / "train.py") not in ended.stderr, (
        "a rank ended in a traceback; torchrun's own is not ours"
    )
    assert "exitcode  : 2 " in ended.stderr
