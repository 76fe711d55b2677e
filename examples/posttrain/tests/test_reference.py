"""An engine, in every kind of layout, is held to the reference on rollouts where every term has its say.

Three steps: two on the same rollout, one on another. What is compared: the credit of each token, each term of the
loss, the norm of the gradients, the gradient of every parameter, and the weights after the step. ``--cases``
names some of them; "experts" are models with a mixture of experts or with MTP layers.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import _shared

from trainci.testing import execute_train, main

NUM_GPUS = 2
STEPS = 3
PPO = ["--advantage-estimator", "ppo", "--gae-gamma", "0.9", "--gae-lambda", "0.8", "--value-clip", "0.1"]
OPD = ["--advantage-estimator", "opd", "--teacher-url", "http://none.invalid"]
TIS = ["--use-tis", "--tis-clip", "1.2"]
BFLOAT16 = ["--dtype", "bfloat16"]
MOVED = ["--rollout-data-postprocess-path", "tests._recorder.record_moved"]
CASES = {
    "fsdp": {
        "grpo": ("qwen3", []),
        "grpo, micro-batches": (
            "qwen3",
            ["--temperature", "0.7", "--micro-batch-size", "5"],
        ),  # and a last one of 1
        "grpo over tokens, weighted": ("qwen3", ["--per-token-loss", *TIS, *MOVED, "--temperature", "1.3"]),
        "ppo": ("qwen3", [*PPO, *MOVED]),
        "distillation": ("qwen3", [*OPD, "--per-token-loss"]),
        "grpo in bfloat16": ("qwen3", BFLOAT16),
    },
    "megatron": {
        "tensor": ("qwen3", ["--tensor-parallel", "2", "--temperature", "0.7", "--micro-batch-size", "8"]),
        "data, weighted": ("qwen3", ["--per-token-loss", *TIS, *MOVED, "--micro-batch-size", "4"]),
        "pipeline, ppo": ("qwen3", ["--pipeline-parallel", "2", *PPO, *MOVED, "--micro-batch-size", "16"]),
        "context, distillation": ("qwen3", ["--context-parallel", "2", *OPD]),
        "data in bfloat16": ("qwen3", ["--micro-batch-size", "4", *BFLOAT16]),
    },
    "experts": {
        "experts": ("qwen3-moe", ["--expert-parallel", "2", "--moe-dispatcher", "alltoall"]),
        "tensor, experts": ("qwen3-moe", ["--expert-parallel", "2", "--tensor-parallel", "2"]),
        "mtp": ("mimo", ["--mtp-loss-weight", "0.5", "--micro-batch-size", "4"]),
        "mtp, context": ("mimo", ["--mtp-loss-weight", "0.5", "--context-parallel", "2"]),
        "pipeline, latent attention": ("moonlight", ["--pipeline-parallel", "2"]),
    },
}


def cases():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", choices=CASES, default="fsdp")
    chosen = parser.parse_args().cases
    backend = ["--backend", "fsdp" if chosen == "fsdp" else "megatron"]
    return {name: (family, [*backend, *options]) for name, (family, options) in CASES[chosen].items()}


def prepare():
    for family in sorted({family for family, _ in cases().values()}):
        _shared.prepare(family)


def execute():
    from _held import assert_held  # transformers takes seconds to import

    with tempfile.TemporaryDirectory(prefix="posttrain-") as scratch:
        runs = {name: Run(Path(scratch), name, *case) for name, case in cases().items()}
        file = Path(scratch) / "cases.json"
        file.write_text(json.dumps([run.case() for run in runs.values()]))
        execute_train("tests/_cases.py", [str(file)], num_gpus_per_node=NUM_GPUS, env=_shared.RANKS)
        for name, run in runs.items():
            sys.stdout.write(f"{name}\n")
            rows = _shared.read(run.metrics)
            try:
                assert_held(run.command, run.directory, rows, ranks=NUM_GPUS, steps=STEPS)
                run.assert_something_was_tried(rows)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


class Run:
    """A command line, on rollouts of its own."""

    def __init__(self, scratch, name, family, options):
        from _made_up import EVEN, UNEVEN, write

        self.directory = scratch / name
        self.directory.mkdir()
        self.metrics = self.directory / "metrics.jsonl"
        temperature = options[options.index("--temperature") + 1] if "--temperature" in options else "1.0"
        alone = {"--tensor-parallel", "--pipeline-parallel", "--context-parallel"} & set(options)
        rollouts = self.directory / "rollouts"
        model = _shared.assets(family) / "model"
        sizes = EVEN if family in dict(CASES["experts"].values()) else UNEVEN
        write(rollouts, model, temperature=float(temperature), replicas=1 if alone else NUM_GPUS, sizes=sizes)
        run = ["--num-steps", str(STEPS), "--load-rollout", str(rollouts), "--samples-per-prompt", "4"]
        run += ["--dtype", "float32", "--learning-rate", "5e-3", "--critic-learning-rate", "3e-3"]
        run += ["--max-grad-norm", "0.5", "--prompts-per-step", "8", "--max-new-tokens", "5"]
        self.command = _shared.command(self.metrics, *run, *_shared.RECORDER, *options, family=family)

    def case(self):
        environment = {"RECORD_DIRECTORY": str(self.directory), "RECORD_STEPS": str(STEPS)}
        return {"command": self.command, "environment": environment}

    def assert_something_was_tried(self, rows):
        clipped = [row["clip_fraction"] for row in rows[1:]]
        assert min(clipped) > 0.02, f"nearly nothing was clipped: {clipped}"
        norms = [row["grad_norm"] for row in rows[1:]]
        assert max(norms) > 0.5, f"no gradient was clipped: {norms}"


if __name__ == "__main__":
    main(prepare, execute)
