"""A save is killed before and in the middle of every change that it makes on the disk, one after the other.

Whatever is named as newest then is whole, and the next save goes through. There is no model: the order of the
changes is that of every run.
"""

import functools
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import _shared  # noqa: F401  the package is then found
import torch.distributed as dist
from posttrain import checkpoint
from posttrain.arguments import Config
from posttrain.backends.base import Replica
from torch.testing._internal.distributed.fake_pg import FakeStore

from trainci.testing import main

NUM_GPUS = 0
CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove"}


class Weights:
    """Stands for a model: its step, in two files."""

    def __init__(self):
        self.step = 0

    def save(self, directory, *, asynchronous):
        for name in ("first", "second"):
            (directory / name).write_text(json.dumps(self.step))

    def finish_save(self):
        pass

    def load(self, directory):
        first, second = (json.loads((directory / name).read_text()) for name in ("first", "second"))
        assert first == second, f"the checkpoint holds {first} and {second}"
        self.step = first


class Place:
    replica = Replica(0, 1, group=None, leader=0)

    def save(self, directory, step):
        (directory / "place").write_text(str(step))

    def load(self, directory, step):
        found = int((directory / "place").read_text())
        assert found == step, f"the place in the data is that of step {found}, not {step}"


def config(directory):
    return Config(Path(), Path(), Path(), save=directory, load=directory)


def run(directory, last):
    """Go on from what is there up to ``last``; returns where that began."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    weights, place = Weights(), Place()
    start = checkpoint.load(config(directory), {"policy": weights}, place)
    assert weights.step == start.step, f"step {start.step} came with the weights of step {weights.step}"
    checkpoints = checkpoint.Checkpoints(config(directory), {"policy": weights}, place, start)
    for step in range(start.step + 1, last + 1):
        weights.step = step
        checkpoints.save(step, None)
        newest = checkpoint.newest(directory)
        assert newest and newest.name == f"step_{step:06}", f"step {step} was saved, and {newest} is the newest"
    checkpoints.finish()
    dist.destroy_process_group()
    return start.step


def loaded_by_one_more_rank(directory):
    """Of two, where one had saved."""
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    return checkpoint.load(config(directory), {"policy": Weights()}, Place()).step


def in_a_fork(action):
    """The exit code of ``action``, which returns one."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        code = 100
        try:
            code = action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(directory, number, torn):
    """Save step 1, then die at the so manieth change of saving step 2; whether there was one.

    ``torn``: a file that is opened for writing is there by then, and empty.
    """

    def save():
        run(directory, 1)
        left = number

        def hook(event, arguments):
            nonlocal left
            written = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if str(directory) not in str(arguments[:1]) or not (written or event in CHANGES):
                return
            if left == 0:
                if written and torn:
                    os.close(os.open(arguments[0], os.O_CREAT | os.O_TRUNC | os.O_WRONLY))
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        sys.addaudithook(hook)
        run(directory, 2)
        return 0

    code = in_a_fork(save)
    assert code in (0, -signal.SIGKILL), f"a save that was to be killed at its change {number} failed"
    return code != 0


def prepare():
    """There is nothing to build."""


def execute():
    deaths = 0
    for torn in (False, True):
        number, going_on = 0, True
        while going_on:
            with tempfile.TemporaryDirectory(prefix="posttrain-") as scratch:
                directory = Path(scratch) / "checkpoints"
                going_on = killed(directory, number, torn)
                began = in_a_fork(functools.partial(run, directory, 3))
                what = f"killed at change {number} of a save{' in the middle of a write' if torn else ''}"
                assert began in (1, 2), f"{what}, the run goes on from step {began}"
                newest = (directory / "latest").read_text().strip()
                assert newest == "step_000003", f"{what}, the next run named {newest} as newest"
            number, deaths = number + 1, deaths + going_on
    assert deaths > 10, f"a save changes the disk {deaths} times only"
    with tempfile.TemporaryDirectory(prefix="posttrain-") as scratch:
        directory = Path(scratch)
        assert in_a_fork(functools.partial(run, directory, 2)) == 0
        assert in_a_fork(functools.partial(loaded_by_one_more_rank, directory)) == 2, (
            "a rank that the saved run did not have cannot load"
        )


if __name__ == "__main__":
    main(prepare, execute)
