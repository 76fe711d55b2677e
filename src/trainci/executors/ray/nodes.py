"""The entry point of a job of several nodes: it takes all of them at once, and runs the test on the first.

It is a driver of Ray's on any node. Its placement group holds an equal share of each of them for as long as it
lives, and an actor (``member``) on each starts what is to run there.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainci.errors import EXIT_MACHINE
from trainci.executors import words
from trainci.executors.isolated import isolated, isolated_main
from trainci.executors.node import FAULT
from trainci.lease import protocol
from trainci.model.run import Cause

_LEASE = "from trainci.lease.command import internal_main; sys.exit(internal_main(sys.argv[1:]))"
_LOOK_AGAIN_S = 0.5
# How long what runs on the nodes may take to end once it is ordered to; less than Ray gives to the job itself.
_ENDING_S = 20.0
# What Ray takes at the most until it knows that a node is gone.
_NODE_GONE_S = 60.0


def main(directory: str, output: str, root: str, asked: str) -> int:
    """Run the test of ``directory`` on the nodes that ``asked`` (JSON) wants: ``count`` times ``share``.

    They are waited for ``wait`` seconds. What goes wrong with them is written down beside the job's own status.
    """
    wanted = json.loads(asked)
    # Only where it runs: it takes seconds to import.
    import ray

    from trainci.executors.ray import member as code

    ray.init(log_to_driver=False, logging_level="ERROR")
    ray.cloudpickle.register_pickle_by_value(code)
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: stopped.append(number))
    group = ray.util.placement_group([wanted["share"]] * wanted["count"], strategy="STRICT_SPREAD")
    if not _placed(ray, group, wanted, stopped):
        if stopped:
            return EXIT_MACHINE
        return _fault(directory, Cause.NEVER_STARTED, _not_placed(ray, wanted))
    lease = [*isolated(_LEASE), protocol.STATUS_FD, "{status}", protocol.COUNT, "0", protocol.GRACE]
    lease += [f"{words.GRACE_SECONDS:g}", "--"]
    actor = ray.remote(code.Member)
    members = [
        actor.options(
            num_cpus=wanted["share"].get("CPU", 0),
            num_gpus=wanted["share"].get("GPU", 0),
            max_concurrency=1000,
            scheduling_strategy=ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=rank
            ),
        ).remote(rank, lease)
        for rank in range(wanted["count"])
    ]
    return _Nodes(ray, members, _addresses(ray, group), directory).run(output, root, stopped)


class _Nodes:
    def __init__(self, ray: Any, members: Sequence[Any], addresses: Sequence[str], directory: str) -> None:
        self._ray = ray
        self._members = members
        self._addresses = addresses
        self._directory = directory

    def run(self, output: str, root: str, stopped: Sequence[int]) -> int:
        """Run the test, until it has ended, or one of its nodes has, or it is to be stopped."""
        staying = {member.stay.remote(): rank for rank, member in enumerate(self._members)}
        words = [*isolated_main("trainci.executors.node"), self._directory]
        lead = self._members[0].lead.remote(words, output, root, self._told(), list(self._members))
        while not stopped:
            if self._ray.wait([*staying, lead], timeout=_LOOK_AGAIN_S)[0]:
                break
        code = self._code(lead)
        gone = [rank for reference, rank in staying.items() if self._is_over(reference)]
        if code and not stopped:
            # Ranks see before Ray does that a node is gone.
            gone = gone or self._silent()
        if gone:
            address = self._addresses[gone[0]]
            _fault(self._directory, Cause.NODE_FAILED, f"node {gone[0]} of {len(staying)} ({address}) is gone")
        self._end()
        return self._code(lead)

    def _code(self, lead: Any) -> int:
        """The exit code of the test's lease; a fault where it runs, or nobody can say."""
        if not self._is_over(lead):
            return EXIT_MACHINE
        try:
            return int(self._ray.get(lead))
        except self._ray.exceptions.RayError:
            return EXIT_MACHINE

    def _silent(self) -> list[int]:
        asked = {member.ping.remote(): rank for rank, member in enumerate(self._members)}
        answered, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=_NODE_GONE_S)
        for reference in answered:
            try:
                self._ray.get(reference)
                del asked[reference]
            except self._ray.exceptions.RayError:
                continue
        return list(asked.values())

    def _told(self) -> Mapping[str, str]:
        first = self._addresses[0]
        return {
            "TRAINCI_NODES": ",".join(self._addresses),
            "TRAINCI_NODE_RANK": "0",
            "MASTER_ADDR": first,
            "PET_MASTER_ADDR": first,
        }

    def _is_over(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    def _end(self) -> None:
        # The first one first: a test ends what it has started itself, and says how.
        until = time.monotonic() + _ENDING_S
        for members in (self._members[:1], self._members[1:]):
            ending = [member.end_all.remote() for member in members]
            self._ray.wait(ending, num_returns=len(ending), timeout=max(1.0, until - time.monotonic()))


def _placed(ray: Any, group: Any, wanted: Mapping[str, Any], stopped: Sequence[int]) -> bool:
    until = time.monotonic() + wanted["wait"]
    ready = group.ready()
    while not stopped and time.monotonic() < until:
        if ray.wait([ready], timeout=_LOOK_AGAIN_S)[0]:
            return True
    return False


def _not_placed(ray: Any, wanted: Mapping[str, Any]) -> str:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    large = [each for each in alive if all(each.get(name, 0) >= many for name, many in wanted["share"].items())]
    share = ", ".join(f"{many} {name}" for name, many in wanted["share"].items())
    return (
        f"Ray did not find {wanted['count']} nodes with {share} each within {wanted['wait']:g} s; "
        f"{len(large)} of its {len(alive)} could have so much"
    )


def _addresses(ray: Any, group: Any) -> Sequence[str]:
    """Of the nodes of a placement group, in the order of its bundles."""
    nodes = ray.util.placement_group_table(group)["bundles_to_node_id"]
    addresses = {node["NodeID"]: str(node["NodeManagerAddress"]) for node in ray.nodes()}
    return [addresses[nodes[rank]] for rank in sorted(nodes)]


def _fault(directory: str, cause: Cause, sentence: str) -> int:
    path = Path(directory, FAULT)
    path.with_suffix(".new").write_text(json.dumps([cause.value, sentence]))
    path.with_suffix(".new").replace(path)
    sys.stderr.write(f"trainci: {sentence}\n")
    return EXIT_MACHINE
