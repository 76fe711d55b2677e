"""The ports of a Ray cluster of a test's: those of the lease on its first node, and of each other node."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainci.errors import UsageError
from trainci.testing.nodes import are_virtual, node_count

# Of the head alone, then of every node.
_HEAD_FLAGS = ("--port", "--ray-client-server-port", "--dashboard-port")
_FLAGS = (
    "--node-manager-port",
    "--object-manager-port",
    "--dashboard-agent-listen-port",
    "--dashboard-agent-grpc-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
)
_VARIABLES = ("DASHBOARD_METRIC_PORT", "AUTOSCALER_METRIC_PORT")
_FEWEST_WORKER_PORTS = 10


@dataclass(frozen=True)
class Ports:
    """``words`` are flags of `ray start`, ``variables`` what is told by its environment.

    ``workers`` is how many processes of the training can have a port, None for any number.
    """

    by_flag: Mapping[str, int]
    variables: Mapping[str, str]
    words: Sequence[str]
    workers: int | None


def head_ports() -> Ports:
    """Those of the first node: of the lease, of which virtual nodes have equal shares, else free ones.

    :raises UsageError: the lease has too few.
    """
    return _ports((*_HEAD_FLAGS, *_FLAGS), _VARIABLES, *_leased(rank=0))


def node_ports(rank: int) -> Ports:
    """Those of another node.

    :raises UsageError: the lease has too few.
    """
    return _ports(_FLAGS, (), *_leased(rank))


def _leased(rank: int) -> tuple[int, int]:
    """The first port and how many there are; 0 where none is leased on this node."""
    base, count = (int(os.environ.get(f"TRAINCI_PORT_{what}") or 0) for what in ("BASE", "COUNT"))
    if rank and os.environ.get("TRAINCI_NODES_BY") == "slurm":
        # The lease is that of the first node.
        return 0, 0
    share = count // node_count() if are_virtual() else count
    return (base + rank * share if are_virtual() else base), share


def _ports(flags: Sequence[str], variables: Sequence[str], base: int, count: int) -> Ports:
    needed = len(flags) + len(variables)
    if not base:
        return _named(flags, variables, free_ports(needed), (), None)
    # The first port of a lease is MASTER_PORT, which the training itself uses.
    first = base + 1 + needed
    workers = base + count - first
    if workers < _FEWEST_WORKER_PORTS:
        nodes = f" on each of {node_count()} virtual nodes" if are_virtual() and node_count() > 1 else ""
        raise UsageError(
            f"ray: needs {1 + needed + _FEWEST_WORKER_PORTS} ports{nodes}, and the lease has {count} there"
        )
    words = ("--min-worker-port", str(first), "--max-worker-port", str(base + count - 1))
    return _named(flags, variables, range(base + 1, first), words, workers)


def _named(
    flags: Sequence[str], variables: Sequence[str], ports: Sequence[int], words: Sequence[str], workers: int | None
) -> Ports:
    by_flag = dict(zip(flags, ports, strict=False))
    told = dict(zip(variables, map(str, ports[len(flags) :]), strict=True))
    named = [word for flag, port in by_flag.items() for word in (flag, str(port))]
    return Ports(by_flag, told, (*named, *words), workers)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    # All at once, or the same one would be given out again.
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
