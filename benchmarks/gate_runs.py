"""Trains examples/posttrain once for each of so many seeds, and keeps what each training ended with.

    python -m benchmarks.gate_runs SEEDS

One short GRPO run a seed, on one CPU process: the numbers that `benchmarks.gates` replays, written to
`benchmarks/gate_runs.json`. Besides the runs as they are it trains with real regressions, a few seeds of each.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

POSTTRAIN = Path(__file__).parents[1] / "examples/posttrain"
KEPT = Path(__file__).with_name("gate_runs.json")
STEPS = 12
METRICS = ("reward", "grad_norm", "loss", "mean_log_prob_gap")
# What somebody could break: each is a command line that trains, and trains worse.
REGRESSIONS = {
    "a tenth of the learning rate": ("--learning-rate", "2e-4"),
    "the rollout in fp8": ("--fp8-rollout",),
    "training in bfloat16": ("--dtype", "bfloat16"),
}


def main() -> None:
    seeds = int(sys.argv[1])
    sys.path.insert(0, str(POSTTRAIN))
    kept: dict[str, list[dict[str, float]]] = {name: [] for name in ("as it is", *REGRESSIONS)}
    for name, seed in _each(seeds):
        kept[name].append(_train(seed, REGRESSIONS.get(name, ())))
        print(name, seed, kept[name][-1], flush=True)
        KEPT.write_text(json.dumps({"steps": STEPS, "runs": kept}, indent=1) + "\n")


def _each(seeds: int) -> Iterator[tuple[str, int]]:
    for seed in range(seeds):
        yield "as it is", seed
        if seed % 8 == 7:
            yield from ((name, 1000 + seed) for name in REGRESSIONS)


def _train(seed: int, options: tuple[str, ...]) -> dict[str, float]:
    import torch
    import torch.distributed as dist
    from posttrain.arguments import parse_args
    from posttrain.task import assets
    from posttrain.trainer import train

    torch.set_num_threads(1)
    made = Path(tempfile.gettempdir()) / f"gate-runs-{os.getuid()}"
    assets.ensure(made)
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder) / "metrics.jsonl"
        said = ["--model-path", f"{made}/model", "--data-path", f"{made}/train.jsonl"]
        said += ["--metrics-path", str(metrics), "--num-steps", str(STEPS), "--seed", str(seed), *options]
        train(parse_args(said), torch.device("cpu"))
        last = json.loads(metrics.read_text().splitlines()[-1])
    return {name: last[name] for name in METRICS}


if __name__ == "__main__":
    main()
