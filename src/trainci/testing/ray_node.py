"""One node of a Ray cluster of a test's; as a program, each node but the first: it ends all that it has started.

``python -m trainci.testing.ray_node HEAD DIRECTORY GPUS``: HEAD is ``address:port``, and the cluster's token stands
in RAY_AUTH_TOKEN. The first node has the head, and only waits here to be ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainci.errors import EXIT_MACHINE, EXIT_OK
from trainci.testing.marked import MarkedProcesses
from trainci.testing.nodes import are_virtual
from trainci.testing.ray_ports import Ports, node_ports

GRACE_S = 3.0
"""How long its processes have to end by themselves; Ray's own servers, waiting for each other, take longer."""
_LOOK_AGAIN_S = 0.25


def ray_command(*words: str) -> list[str]:
    """The ``ray`` of the running interpreter."""
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


def write_token(directory: Path, token: str) -> dict[str, str]:
    """Write ``token`` where only this user can read it; the variables by which Ray finds it, and no other.

    Source: https://docs.ray.io/en/latest/ray-security/token-auth.html
    """
    path = directory / "auth_token"
    path.write_text(token)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(path),
        # This one comes before the file; empty, it is as if it were not there.
        "RAY_AUTH_TOKEN": "",
        "RAY_ENABLE_K8S_TOKEN_AUTH": "false",
        # Headers for somebody else's cluster, in which another token may stand.
        "RAY_JOB_HEADERS": "{}",
    }


def start(
    where: Sequence[str],
    num_gpus: int,
    ports: Ports,
    env: Mapping[str, str],
    output: int | None,
) -> tuple[subprocess.Popen[bytes], MarkedProcesses]:
    """`ray start` with the flags ``where`` and ``num_gpus`` GPUs, or none where no GPU can be seen; what it starts.

    Its processes inherit ``env``, too. ``output`` is the descriptor for what it prints, ours if None.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = num_gpus if visible is None or len(list(filter(None, visible.split(",")))) >= num_gpus else 0
    cpus = max(os.cpu_count() or 1, num_gpus + 1)
    command = ray_command(
        *("start", *where, "--block", "--disable-usage-stats", "--num-gpus", str(gpus)),
        # Ray starts a worker for each at once, and one without a port is none.
        *("--num-cpus", str(min(cpus, ports.workers or cpus)), *ports.words),
    )
    processes = MarkedProcesses()
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    # The descriptions of Ray's processes would otherwise be written over their environment, and the mark in it.
    ours = {**ports.variables, "SPT_NOENV": "1"}
    started = processes.start(command, env={**inherited, **env, **ours}, output=output, errors=output)
    return started, processes


def own_address(others: Sequence[str]) -> str:
    """The address of this node's by which it is reached from the first of ``others`` that is known here.

    :raises OSError: none of them is known.
    """
    if are_virtual():
        return "127.0.0.1"
    unknown = OSError("no other node is known here by its name")
    for name in others:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Nothing is sent: only the way there is looked up (udp(7)). The port is that of nobody (RFC 863).
                probe.connect((name, 9))
                return str(probe.getsockname()[0])
            except OSError as error:
                unknown = error
    raise unknown


def main(head: str, shared: str, num_gpus: str) -> int:
    """Be a node until we are to end, or it has ended by itself."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stopped.append(number))
    rank = int(os.environ["TRAINCI_NODE_RANK"])
    if rank == 0:
        while not stopped:
            time.sleep(_LOOK_AGAIN_S)
        return EXIT_OK
    directory = Path(shared)
    # Ray has its sockets at the same path on every node, which is there if that node is a part of the same host.
    try:
        directory.mkdir(mode=0o700)
        made = True
    except FileExistsError:
        made = False
        # Other users could have read its name on the first node, and made it here.
        if not _is_ours_alone(directory):
            sys.stderr.write(f"ray: {directory} is there, and not this user's alone\n")
            return EXIT_MACHINE
    own = directory / f"node-{rank}"
    own.mkdir(mode=0o700)
    access = write_token(own, os.environ["RAY_AUTH_TOKEN"])
    where = ("--address", head, "--node-ip-address", own_address([head.partition(":")[0]]))
    node, processes = start(where, int(num_gpus), node_ports(rank), access, None)
    try:
        while not stopped and node.poll() is None:
            time.sleep(_LOOK_AGAIN_S)
    finally:
        processes.end(GRACE_S)
        if made:
            shutil.rmtree(directory, ignore_errors=True)
    return EXIT_OK if stopped else EXIT_MACHINE


def _is_ours_alone(directory: Path) -> bool:
    found = directory.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
