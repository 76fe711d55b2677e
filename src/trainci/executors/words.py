"""What a job is started with: its words and its variables, and how they are shown."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from trainci.executors import rank_logs, results
from trainci.executors.base import Job
from trainci.github import payload
from trainci.interpreter import search_path
from trainci.lease import protocol
from trainci.model.run import Phase
from trainci.model.tests import Test
from trainci.paths import RunPaths

GRACE_SECONDS = 5.0


def lease_arguments(job: Job, before: Sequence[str] = ()) -> list[str]:
    """What the lease of ``job`` is told beside its devices: limits, a name, and after ``before`` the command."""
    where = payload.pull_request(os.environ)
    name = f"{job.test.id} of {where}" if where else job.test.id
    return [
        *(protocol.TIME_LIMIT, f"{job.time_limit:g}", protocol.GRACE, f"{GRACE_SECONDS:g}"),
        *((protocol.EXPECTED, f"{job.expected:g}") if job.expected else ()),
        *(f"{protocol.NAME}={name}", "--", *before, *results.command(job)),
    ]


def variables(job: Job, root: Path) -> dict[str, str]:
    """What ``job`` is told by its environment, beside what it inherits."""
    told = {
        **rank_logs.variables(job),
        **dict(job.test.env),
        **results.variables(job),
        "PYTHONUNBUFFERED": "1",
        "TRAINCI_TEST_ID": job.test.id,
        "TRAINCI_PHASE": "" if job.phase is Phase.BOTH else job.phase.value,
        "TRAINCI_METRICS_FILE": str(RunPaths.metrics(job.log)),
        **_virtual_nodes(job.num_nodes),
    }
    inherited = told.get("PATH") or os.environ.get("PATH", os.defpath)
    return {**told, "PATH": search_path(job.test.python, root, inherited)}


def _virtual_nodes(count: int) -> dict[str, str]:
    """What a test of several nodes is told of them, where they are processes of one host."""
    names = ",".join(f"node-{rank}" for rank in range(count)) if count > 1 else ""
    return {
        "TRAINCI_NODES": names,
        "TRAINCI_NODES_BY": "",
        "TRAINCI_NODE_RANK": "0",
        **({"MASTER_ADDR": "127.0.0.1"} if names else {}),
    }


def shell_line(test: Test, before: Sequence[str] = ()) -> str:
    """The command of a test, or its steps one after another, as a person types it after ``before``; one line."""
    if test.command:
        return _shell_line(test.env, (*before, *test.command))
    return " && ".join(_shell_line((*test.env, *step.env), (*before, *step.command)) for step in test.steps)


def _shell_line(env: Sequence[tuple[str, str]], words: Sequence[str]) -> str:
    return " ".join([*(f"{name}={_shell_word(value)}" for name, value in env), *map(_shell_word, words)])


def _shell_word(text: str) -> str:
    """``text`` quoted for a shell, on one line whatever it holds (``$'…'`` is POSIX.1-2024, and older in bash)."""
    if text.isprintable():
        return shlex.quote(text)
    plain = [
        chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text)
    ]
    return f"$'{''.join(plain)}'"
