"""A served teacher for as long as a test needs it, and what the test asks of the student."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainci.testing import exec_command

SUPERVISED_STEPS = 40


def prepare(family: str) -> None:
    """Build a model of ``family`` that knows the task."""
    command = [sys.executable, "-m", "posttrain.task.assets", str(_assets(family)), "--family", family]
    exec_command([*command, "--supervised-steps", str(SUPERVISED_STEPS)])


@contextmanager
def served(family: str) -> Iterator[str]:
    """The URL of a server of the prepared ``family``, given before it listens; it ends with the block."""
    port = _port()
    model = ["--model-path", str(checkpoint(family)), "--port", str(port)]
    server = subprocess.Popen(
        [sys.executable, "-m", "posttrain.rollout.teacher", *model], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        yield f"http://127.0.0.1:{port}/generate"
        assert server.poll() is None, f"the teacher ended with exit code {server.returncode} while it was needed"
    finally:
        server.kill()
        server.wait()


def checkpoint(family: str) -> Path:
    """Of the prepared teacher."""
    return _assets(family) / "model"


def _assets(family: str) -> Path:
    return Path(".cache") / f"{family}-tiny-teacher"


def assert_reverse_kl_falls(rows: list[dict[str, Any]], num_gpus: int, *, above: float, to: float) -> None:
    """Of every rank's samples it begins ``above`` and ends below ``to``: nats a token, from student to teacher."""
    ranks = [[row["reverse_kl"][rank] for row in rows[1:]] for rank in range(num_gpus)]
    for rank, values in enumerate(ranks):
        assert values[0] > above, f"the teacher of rank {rank} differs from the student by {values[0]:.3f} only"
    for rank, values in enumerate(ranks):
        last = sum(values[-3:]) / len(values[-3:])
        assert last < to, f"the reverse KL of rank {rank} went from {values[0]:.3f} to {last:.3f}, not below {to}"


def _port() -> int:
    """The last port of the lease, or a free one outside trainci."""
    if "TRAINCI_PORT_BASE" in os.environ:
        return int(os.environ["TRAINCI_PORT_BASE"]) + int(os.environ["TRAINCI_PORT_COUNT"]) - 1
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
