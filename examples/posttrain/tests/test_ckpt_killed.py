"""A run is killed in the middle of a save, twice: the checkpoint before it loads, and training goes on.

What comes after is what had come before, to the last bit.
"""

import argparse
import tempfile
from pathlib import Path

import _shared

from trainci.testing import CommandError, main

NUM_GPUS = 2
KILLED = "tests/_killed_in_save.py"


def prepare():
    _shared.prepare()


def execute():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="fsdp")
    parser.add_argument("--async-save", action="store_true")
    options = parser.parse_args()
    args = [
        "--num-steps",
        "5",
        "--backend",
        options.backend,
        "--custom-rm-path",
        "tests._noisy_reward.noisy_reward",
    ]
    args += ["--async-save"] if options.async_save else []
    with tempfile.TemporaryDirectory(prefix="posttrain-") as directory:
        run = Run(Path(directory), args)
        first = run.killed("data", step=3)
        assert run.newest() == "step_000002", f"{run.newest()} is the newest of a run killed while it wrote step 3"
        second = run.killed("latest", step=4)
        assert run.newest() == "step_000003", f"{run.newest()} is the newest of a run killed before it named step 4"
        third = run.to_its_end()
        assert run.newest() == "step_000005"
        left = [path.name for path in run.checkpoints.glob("*.writing")]
        assert not left, f"{left} are left over"
    assert_goes_on(second, first, after=2)
    assert_goes_on(third, second, after=3)
    assert [row["step"] for row in third] == [3, 4, 5]


def assert_goes_on(resumed, killed, after):
    """``resumed`` begins after step ``after``, and repeats to the last bit what ``killed`` had done beyond it."""
    before = {row["step"]: row for row in killed}
    assert resumed[0]["step"] == after, f"training went on after step {resumed[0]['step']}, not {after}"
    assert resumed[0]["weights"] == before[after]["weights"], f"the weights of step {after} came back changed"
    assert resumed[1] == before[after + 1], (
        f"step {after + 1} differs from what it was:\n{resumed[1]}\n{before[after + 1]}"
    )


class Run:
    """A run that is killed and started again."""

    def __init__(self, directory, args):
        self.checkpoints = directory / "checkpoints"
        self._metrics = directory / "metrics.jsonl"
        self._args = [*args, "--save", str(self.checkpoints), "--load", str(self.checkpoints)]

    def killed(self, moment, step):
        try:
            _shared.launch(KILLED, self._metrics, *self._args, moment, str(step), num_gpus=NUM_GPUS)
        except CommandError as error:
            assert error.code == -9, f"not killed, but failed: {error}"
            return _shared.read(self._metrics)
        raise AssertionError(f"the run was not killed: there was no moment {moment!r} in saving step {step}")

    def to_its_end(self):
        _shared.launch("train.py", self._metrics, *self._args, num_gpus=NUM_GPUS)
        return _shared.read(self._metrics)

    def newest(self):
        return (self.checkpoints / "latest").read_text().strip()


if __name__ == "__main__":
    main(prepare, execute)
