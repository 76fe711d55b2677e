"""What a job of an engine's runs on its (first) node: trainci's lease, over what the engine gave to the job."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from trainci.errors import EXIT_MACHINE

TOLD = "job.json"
STATUS = "status"
OUTPUT = "output"
# What an engine's own program beside the job says of its nodes: a cause and a sentence.
FAULT = "fault"


def main(directory: str, nodes: str = "", parent: str = "") -> int:
    """Run what ``directory`` holds, once; the exit code of the lease.

    ``nodes`` (JSON) is what it is told of its nodes, where the engine has no command that says so. It ends with the
    process ``parent``.
    """
    from trainci.host.processes import die_with_parent

    if parent:
        die_with_parent(int(parent))
    status = begin(Path(directory))
    if status is None:
        sys.stderr.write("trainci: this attempt has begun before; it is not run twice.\n")
        return EXIT_MACHINE
    return run(Path(directory), status, nodes)


def begin(directory: Path) -> int | None:
    """Where its lease is to report; None for whoever is here a second time (somebody had the job queued again)."""
    try:
        # To disk at once: else a network's file system sends half a minute later what it tells (nfs(5), async).
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_DSYNC
        return os.open(directory / STATUS, flags, 0o600)
    except FileExistsError:
        return None


def run(directory: Path, status: int, nodes: str = "") -> int:
    """Run what has begun; the exit code of the lease."""
    from trainci.lease import protocol
    from trainci.lease.command import internal_main

    told = directory / TOLD
    asked = json.loads(told.read_bytes())
    # It holds the environment of whoever submitted it.
    told.unlink()
    inherited = dict(os.environ)
    os.environ.clear()
    # What the engine and the set-up lines say is of this node, and goes before what the client's environment says.
    os.environ.update({**asked["inherited"], **inherited})
    several = _nodes(inherited) if asked["nodes"] > 1 and not nodes else json.loads(nodes or "{}")
    ours = asked["inherited"].get("PATH", "")
    path = _path(asked["variables"]["PATH"], ours, inherited.get("PATH", ours))
    variables = {**asked["variables"], **several, "PATH": path}
    return internal_main([protocol.STATUS_FD, str(status), *asked["arguments"]], variables)


def _path(wanted: str, ours: str, of_node: str) -> str:
    """Where a test's programs are: what stands before the client's own PATH, then the node's, then the client's.

    A test that names a PATH of its own keeps it.
    """
    if not wanted.endswith(ours):
        return wanted
    parts = [*wanted.removesuffix(ours).split(os.pathsep), *of_node.split(os.pathsep), *ours.split(os.pathsep)]
    return os.pathsep.join(dict.fromkeys(filter(None, parts)))


def _nodes(environment: dict[str, str]) -> dict[str, str]:
    """What Slurm tells a job of several nodes of them."""
    listed = ["scontrol", "show", "hostnames", environment["SLURM_JOB_NODELIST"]]
    names = subprocess.run(listed, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    return {
        "TRAINCI_NODES": ",".join(names),
        "TRAINCI_NODES_BY": "slurm",
        "TRAINCI_NODE_RANK": "0",
        "MASTER_ADDR": socket.gethostname(),
        # torchrun reads its options from such names.
        "PET_MASTER_ADDR": socket.gethostname(),
    }
