"""Each way of breaking the trainer is caught by the smoke test, by the assertion that is meant to catch it.

The breaks are made in a copy, which trains on 2 ranks and for as few steps as the break needs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

POSTTRAIN = Path(__file__).parents[1]
SYNC, ASYNC = "tests/test_qwen2.5_tiny_short.py", "tests/test_qwen2.5_tiny_async_short.py"
VISION = "tests/test_qwen2.5_vl_tiny.py"
OPD = "tests/test_qwen2.5_tiny_opd_sglang.py"
CKPT, KILLED = "tests/test_ckpt.py", "tests/test_ckpt_killed.py"
STEPS_TO_LEARN = 16


@dataclass(frozen=True)
class Break:
    file: str
    old: str
    new: str
    caught_by: str
    """A regular expression."""
    steps: int = 4
    """Few, but enough for a first reward: until then there is nothing to learn from."""
    test: str = SYNC


BREAKS = {
    "the loss is NaN": Break(
        "posttrain/training/objective.py",
        "return (losses * given",
        "return float('nan') * (losses * given",
        "loss is nan at step 1",
        steps=1,
    ),
    "gradients are NaN": Break(
        "posttrain/backends/fsdp.py",
        "(loss * dist.get_world_size()).backward()",
        "(loss * float('nan')).backward()",
        "grad_norm is nan at step 1",
        steps=1,
    ),
    "no rank takes the optimizer step": Break(
        "posttrain/backends/fsdp.py",
        "self.optimizer.step()",
        "pass",
        r"step \d+ left the weights of ranks \[0, 1\] unchanged",
    ),
    "one rank skips the optimizer step": Break(
        "posttrain/backends/fsdp.py",
        "self.optimizer.step()",
        "dist.get_rank() == 1 or self.optimizer.step()",
        r"step \d+ left the weights of ranks \[1\] unchanged",
    ),
    "one rank sees other weights": Break(
        "posttrain/backends/fsdp.py",
        "value.detach().full_tensor() for",
        "value.detach().full_tensor() * (1 + 1e-6 * dist.get_rank()) for",
        "ranks differ in their weights after step 0",
        steps=1,
    ),
    "rollout samples at another temperature": Break(
        "posttrain/rollout/engine.py",
        "logits, sampled, self._config.temperature",
        "logits, sampled, self._config.temperature * 1.01",
        r"log-probabilities of rollout and training differ by \S+ at step 1",
    ),
    "rollout never gets the new weights": Break(
        "posttrain/trainer.py",
        "sampler.update_weights(weights, version=step)",
        "setattr(sampler._engine, 'version', step)",
        r"log-probabilities of rollout and training differ by \S+ at step [2-8]",
        steps=8,
    ),
    "asynchronous rollout is not ahead": Break(
        "posttrain/trainer.py",
        "ahead = config.async_rollout and",
        "ahead = False and",
        "step 2 trained on version 1, not 0",
        test=ASYNC,
    ),
    "the reward's sign is flipped": Break(
        "posttrain/learner.py",
        "group_advantages(rewards,",
        "group_advantages(-rewards,",
        "mean reward went from",
        steps=STEPS_TO_LEARN,
    ),
    "the student is driven away from its teacher": Break(
        "posttrain/training/advantages.py",
        "return teacher - student",
        "return student - teacher",
        r"the reverse KL of rank 0 went from \S+ to \S+, not below",
        steps=8,
        test=OPD,
    ),
    "one rank is its own teacher": Break(
        "posttrain/rollout/distillation.py",
        "[log_prob for log_prob, *_ in response]",
        "sample.rollout_log_probs if __import__('os').environ['RANK'] == '1' else [t for t, *_ in response]",
        r"the teacher of rank 1 differs from the student by -?0\.000 only",
        steps=1,
        test=OPD,
    ),
    "a resumed run has forgotten the optimizer's state": Break(
        "posttrain/backends/fsdp.py",
        "dcp.load(state,",
        "dcp.load({'model': state['model']},",
        "step 3 differs in",
        test=CKPT,
    ),
    "a resumed run draws other random numbers": Break(
        "posttrain/checkpoint.py",
        "_set_random_states(state[",
        "repr(state[",
        "step 4 differs in",
        test=CKPT,
    ),
    "a resumed run begins its data anew": Break(
        "posttrain/checkpoint.py",
        'data.load(checkpoint / "data", state["step"])',
        "pass",
        "step 4 differs in",
        test=CKPT,
    ),
    "a checkpoint is named as newest before it is written": Break(
        "posttrain/checkpoint.py",
        "self._data.save(",
        "writing.with_name('latest').write_text(writing.stem); self._data.save(",
        "step_000003 is the newest of a run killed while it wrote step 3",
        test=KILLED,
    ),
    "training sees the picture of another sample": Break(
        "posttrain/backends/fsdp.py",
        'batch.data.get("image", ())',
        'batch.data.get("image", ())[::-1]',
        r"log-probabilities of rollout and training differ by \S+ at step 1",
        test=VISION,
    ),
    "the vision tower does not learn": Break(
        "posttrain/backends/fsdp.py",
        "model = load_model(config.model_path, device)",
        "model = load_model(config.model_path, device); model.model.visual.requires_grad_(False)",
        "step 1 left the vision tower as it was",
        test=VISION,
    ),
    "the policy does not look": Break(
        "posttrain/vision.py",
        "_patches_of(path, model.config.vision_config) for path",
        "_patches_of(pictures[0], model.config.vision_config) for _",
        "mean reward went from",
        test=VISION,
    ),
}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its assets made, which is never changed."""
    copy = tmp_path_factory.mktemp("posttrain") / "copy"
    shutil.copytree(POSTTRAIN, copy, ignore=shutil.ignore_patterns(".cache", ".trainci", "__pycache__"))
    subprocess.run([sys.executable, "-m", "posttrain.task.assets", ".cache/qwen2.5-tiny"], cwd=copy, check=True)
    return copy


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{path.name} no longer holds {old!r}: bring this test up to date"
    path.write_text(text.replace(old, new), encoding="utf-8")


def smoke_test(copied: Path, tmp_path: Path, test: str, steps: int, fault: Break | None) -> tuple[int, str]:
    """The exit code and the errors of ``test`` in a copy with ``fault``."""
    copy = tmp_path / "copy"
    shutil.copytree(copied, copy)
    replace_once(copy / "tests/_shared.py", "NUM_STEPS = 30", f"NUM_STEPS = {steps}")
    path = copy / test
    path.write_text(path.read_text(encoding="utf-8").replace("NUM_GPUS = 4", "NUM_GPUS = 2"), encoding="utf-8")
    if fault:
        replace_once(copy / fault.file, fault.old, fault.new)
    environment = {name: value for name, value in os.environ.items() if name != "TRAINCI_DEVICES"}
    ended = subprocess.run(
        [sys.executable, test], cwd=copy, env=environment, stderr=subprocess.PIPE, text=True, check=False
    )
    return ended.returncode, ended.stderr


def test_the_copy_without_a_break_is_green(copied: Path, tmp_path: Path) -> None:
    assert smoke_test(copied, tmp_path, SYNC, STEPS_TO_LEARN, None) == (0, "")


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_caught(copied: Path, tmp_path: Path, name: str) -> None:
    fault = BREAKS[name]
    code, errors = smoke_test(copied, tmp_path, fault.test, fault.steps, fault)
    assert code == 1
    assert re.search(f"^AssertionError: {fault.caught_by}", errors, re.MULTILINE), errors


def test_a_run_is_deterministic(copied: Path, tmp_path: Path) -> None:
    """Two asynchronous runs, whose rollout is a thread of its own, write the same metrics to the byte."""
    assets, written = ".cache/qwen2.5-tiny", []
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    data = ["--model-path", f"{assets}/model", "--data-path", f"{assets}/train.jsonl"]
    for metrics in (tmp_path / "first.jsonl", tmp_path / "second.jsonl"):
        run = ["--num-steps", "6", "--async-rollout", "--metrics-path", str(metrics)]
        subprocess.run([sys.executable, *launch, *data, *run], cwd=copied, check=True)
        written.append(metrics.read_bytes())
    assert written[0] == written[1]
    rows = [json.loads(line) for line in written[0].splitlines()]
    assert rows[0]["weights"] != rows[-1]["weights"], "nothing was trained, so nothing was tried"
