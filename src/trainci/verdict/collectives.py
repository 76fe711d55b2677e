"""Pure: whether ranks took part in different collectives, by what the watchdog of each says that it waited for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

# As torch 2.6 (ProcessGroupNCCL) tells it, with the process group since 2.4.
_WORK = re.compile(
    r"\[(?:(?P<group>PG .*?) )?Rank (?P<rank>\d+)\].*"
    r"WorkNCCL\(SeqNum=(?P<number>\d+), OpType=(?P<kind>\w+), NumelIn=(?P<size>\d+)"
)
# In these each rank does the same as any other, and in those with as much.
_ALIKE = re.compile(r"(?!SEND|RECV|COALESCED|UNKNOWN)\w")
_EVEN = re.compile(r"ALLREDUCE|BROADCAST|REDUCE$")


def mismatched(lines: Iterable[str]) -> bool:
    """Whether two of ``lines`` tell of different operations, or sizes, in the same place of the same group."""
    told = [found for line in lines if (found := _WORK.search(line)) and _ALIKE.match(found["kind"])]
    if len({found["number"] for found in told if not found["group"]}) > 1:
        # Of groups that are not named, only what all ranks of the log wait in is one and the same.
        told = [found for found in told if found["group"]]
    done = defaultdict(set)
    for found in told:
        size = found["size"] if _EVEN.match(found["kind"]) else ""
        done[found["group"], found["number"]].add((found["kind"], size))
    return any(len(kinds) > 1 for kinds in done.values())
