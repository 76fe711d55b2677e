"""Pure: the batch script of a job. Every word in it is quoted, and no secret stands there."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from trainci.model.project import Slurm

# Between the lease's own time limit and Slurm's: it ends the job politely, and tells of it.
_MARGIN_S = 60.0
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Asked:
    """What a job asks for. ``gpus`` and ``cpus`` are those of each node; ``time_limit`` is in seconds."""

    name: str
    token: str
    nodes: int
    gpus: int
    cpus: int
    time_limit: float


def batch_script(
    asked: Asked, settings: Slurm, root: str, output: str, begun: str, command: Sequence[str]
) -> bytes:
    """The script that starts ``command`` in ``root``, its output appended to the file ``output``.

    Before all else it makes the file ``begun``: an interpreter may take longer to start than Slurm to forget it.
    """
    options = [
        f"--job-name={job_name(asked.name)}",
        f"--comment={asked.token}",
        # It begins once: what is tried again is a job of its own.
        "--no-requeue",
        f"--time={math.ceil((asked.time_limit + _MARGIN_S) / 60)}",
        f"--nodes={asked.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={max(1, asked.cpus)}",
        *([f"--gres={settings.gres}:{asked.gpus}"] if asked.gpus else []),
        *(f"--{name}={value}" for name, value in _where(settings) if value),
        # A path would be read for patterns there.
        "--output=/dev/null",
    ]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in options),
        f"exec >>{shlex.quote(output)} 2>&1",
        f": >>{shlex.quote(begun)}",
        f"cd -- {shlex.quote(root)} || exit",
        *settings.setup,
        f"exec {shlex.join(command)}",
    ]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _where(settings: Slurm) -> Sequence[tuple[str, str]]:
    return (("partition", settings.partition), ("account", settings.account), ("qos", settings.qos))


def job_name(test_id: str) -> str:
    """A name for `squeue` that no line of a script can be made of."""
    return "trainci-" + re.sub(r"[^A-Za-z0-9._-]+", "-", test_id).strip("-.")[:_LONGEST_NAME]
