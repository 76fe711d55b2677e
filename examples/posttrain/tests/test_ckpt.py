"""Checkpoints: a resumed run is the run that was not interrupted, to the last bit; in another layout, closely.

A run of four steps saves each of them; with ``--async-save``, while the next one trains, however long that takes.
Others begin after its step 2. Rollouts are asynchronous, so that samples wait while a checkpoint is written, and
rewards are noise out of every random state.
"""

import argparse
import pickle
import tempfile
from pathlib import Path

import _shared
import torch

from trainci.testing import assert_checkpoints_equal, assert_close, compare_checkpoints, main

NUM_GPUS = 2
# Arguments, and ranks: the layout that saves, and another one to load in.
LAYOUTS = {
    "fsdp": (([], 2), ([], 1)),
    "megatron": ((["--tensor-parallel", "2"], 2), ([], 2)),
}
SUMS_DIFFER = {"rtol": 1e-4, "atol": 1e-6}
"""For a step in another layout: the same numbers, added up in another order."""


def prepare():
    _shared.prepare()


def execute():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="fsdp", choices=LAYOUTS)
    parser.add_argument("--async-save", action="store_true")
    parser.add_argument("--optimizer-on-cpu", choices=["save", "load"])
    parser.add_argument("--critic", action="store_true", help="there is one: PPO, for GRPO")
    options = parser.parse_args()
    layout, other_layout = LAYOUTS[options.backend]
    on_cpu = {options.optimizer_on_cpu: ["--optimizer-on-cpu"]}
    asynchronous = ["--async-save"] if options.async_save else []
    critic = ["--advantage-estimator", "ppo"] if options.critic else []
    moves = not options.optimizer_on_cpu
    # In another layout numbers are added up in another order, which bfloat16 shows at once.
    dtype = ["--dtype", "float32"] if moves else []
    with tempfile.TemporaryDirectory(prefix="posttrain-") as directory:
        straight = Run(Path(directory, "straight"), options.backend, layout, critic, dtype)
        script = "tests/_late_save.py" if options.async_save else "train.py"
        straight.train(*asynchronous, *on_cpu.get("save", []), script=script)
        straight.assert_learned()
        straight.assert_groups_waited()
        resumed = Run(Path(directory, "resumed"), options.backend, layout, critic, dtype)
        resumed.train("--load", straight.step(2), "--save-interval", "5", *on_cpu.get("load", []))
        resumed.assert_saved("step_000004")
        resumed.assert_goes_on_exactly(straight)
        if moves:
            elsewhere = Run(Path(directory, "elsewhere"), options.backend, other_layout, critic, dtype)
            elsewhere.train("--load", straight.step(2), "--save-interval", "3")
            elsewhere.assert_saved("step_000003", "step_000004")
            elsewhere.assert_goes_on_closely(straight)


class Run:
    """Trains up to step 4; what it writes is in a directory of its own."""

    def __init__(self, directory, backend, layout, critic, dtype):
        directory.mkdir()
        self._directory = directory
        self._layout, self._ranks = layout
        self._args = ["--num-steps", "4", "--async-rollout", "--backend", backend, "--save", str(directory)]
        self._models = ["policy", "critic"] if critic else ["policy"]
        self._args += [*critic, *dtype, "--custom-rm-path", "tests._noisy_reward.noisy_reward"]
        self._args += ["--dynamic-sampling-filter-path", "tests._noisy_reward.keep_some"]

    def train(self, *args, script="train.py"):
        metrics = self._directory / "metrics.jsonl"
        _shared.launch(script, metrics, *self._args, *self._layout, *args, num_gpus=self._ranks)
        self.rows = {row["step"]: row for row in _shared.read(metrics)}

    def step(self, number):
        return str(self._directory / f"step_{number:06}")

    def assert_learned(self):
        for step in (1, 2, 3, 4):
            assert self.rows[step]["grad_norm"] > 0, f"step {step} learned nothing, so that nothing was tried"

    def assert_groups_waited(self):
        """In the buffer of every replica, when step 2 was saved."""
        for file in Path(self.step(2), "data").iterdir():
            *_, buffer = pickle.loads(file.read_bytes())
            assert len(buffer) > 1, f"{len(buffer)} groups wait in {file.name}: the buffer was not tried"

    def assert_saved(self, *due):
        """Multiples of the interval, and the last."""
        saved = sorted(path.name for path in self._directory.glob("step_*"))
        assert saved == [*due], f"{saved} were saved, and {due} were due"

    def assert_goes_on_exactly(self, straight):
        self._assert_loaded(straight)
        for step in (3, 4):
            assert_close(self.rows[step], straight.rows[step], name=f"step {step}")
        for model in self._models:
            assert_checkpoints_equal(f"{self.step(4)}/{model}", f"{straight.step(4)}/{model}")
        for name, state in straight._random_states().items():
            assert self._random_states()[name] == state, f"the random states of {name} differ after step 4"

    def assert_goes_on_closely(self, straight):
        """Step 3 trains on the samples that waited; later ones are sampled again, with other random numbers."""
        self._assert_loaded(straight)
        for name in ("reward", "loss", "grad_norm", "tokens"):
            assert_close(self.rows[3][name], straight.rows[3][name], **SUMS_DIFFER, name=f"{name} of step 3")
        found = [
            one
            for model in self._models
            for one in compare_checkpoints(f"{self.step(3)}/{model}", f"{straight.step(3)}/{model}", **SUMS_DIFFER)
        ]
        # Megatron pads the vocabulary to a multiple of the tensor-parallel ranks.
        found = [one for one in found if one.note != "shape" or "word_embeddings" not in one.where]
        assert not found, f"the checkpoints of step 3 differ: {found}"

    def _assert_loaded(self, straight):
        assert min(self.rows) == 2, f"training went on after step {min(self.rows)}, not 2"
        ours, theirs = (set(run.rows[2]["weights"]) for run in (self, straight))
        assert ours == theirs, "the weights of step 2 came back changed"

    def _random_states(self):
        """By rank and kind."""
        ranks = torch.load(f"{self.step(4)}/trainer.pt", weights_only=False)["random"]
        return {
            f"rank {rank}, {kind}": str(state)
            for rank, states in enumerate(ranks)
            for kind, state in states.items()
        }


if __name__ == "__main__":
    main(prepare, execute)
