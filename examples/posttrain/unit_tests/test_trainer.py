"""The trainer as a whole. That its faults are caught is measured by mutants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from posttrain.arguments import BadArguments, Config
from posttrain.task import assets
from posttrain.training.objective import PolicyObjective

pytestmark = pytest.mark.slow

POSTTRAIN = Path(__file__).parents[1]


def test_a_run_is_deterministic(tmp_path: Path) -> None:
    """Two asynchronous runs, whose rollout is a thread of its own, write the same metrics to the byte."""
    made, written = tmp_path / "made", []
    assets.ensure(made)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    data = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl"]
    for metrics in (tmp_path / "first.jsonl", tmp_path / "second.jsonl"):
        run = ["--num-steps", "6", "--async-rollout", "--metrics-path", str(metrics)]
        subprocess.run([sys.executable, *launch, *data, *run], cwd=POSTTRAIN, check=True)
        written.append(metrics.read_bytes())
    assert written[0] == written[1]
    rows = [json.loads(line) for line in written[0].splitlines()]
    assert rows[0]["weights"] != rows[-1]["weights"], "nothing was trained, so nothing was tried"


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        *((f"{axis}_parallel", 2, f"--{axis}-parallel") for axis in ("tensor", "pipeline", "context", "expert")),
        ("routing_replay", True, "--routing-replay and --mtp-loss-weight"),
        ("mtp_loss_weight", 0.5, "--routing-replay and --mtp-loss-weight"),
    ],
)
def test_what_fsdp_cannot_do_is_a_sentence(option: str, value: object, said: str) -> None:
    from posttrain.backends import fsdp

    config = Config(Path(), Path(), Path(), **{option: value})
    with pytest.raises(BadArguments, match=f"{said} go(es)? with --backend megatron only"):
        fsdp.init(config, torch.device("cpu"), PolicyObjective(config))
