"""Who goes before whom: order of arrival, and a head start for what is urgent. Pure.

A request of high priority is served as if it had come HEAD_START_S earlier, one of low priority as if later. So
what has waited for that long (twice that, of low priority) is passed by nothing that comes after it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence

from trainci.lease.store.records import Request

HEAD_START_S = 1800.0
_LEVELS = {"high": HEAD_START_S, "normal": 0.0, "low": -HEAD_START_S}
PRIORITIES = tuple(_LEVELS)


def in_turn(queue: Sequence[Request]) -> list[Request]:
    """The requests of ``queue`` (in order of arrival) in the order in which they are served.

    Among those of one priority that is the order of arrival, whatever they say of their time.
    """
    by_level = [[wanted for wanted in queue if _level(wanted) == level] for level in _LEVELS.values()]
    return list(heapq.merge(*by_level, key=lambda wanted: wanted.since - _level(wanted)))


def passed(queue: Sequence[Request], turn: Sequence[Request], known: Collection[str]) -> set[str]:
    """The ids of those who are passed by one that has just come, which is not among the ``known`` ids.

    ``turn`` is ``in_turn(queue)``. Neither their promises nor those of the requests behind them can be kept.
    """
    arrival = {wanted.id: number for number, wanted in enumerate(queue)}
    for place, new in enumerate(turn):
        if new.id not in known and any(arrival[behind.id] < arrival[new.id] for behind in turn[place + 1 :]):
            return {behind.id for behind in turn[place + 1 :]}
    return set()


def _level(wanted: Request) -> float:
    return _LEVELS.get(wanted.priority, 0.0)
