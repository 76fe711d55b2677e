"""Which of the free devices a request is given. Pure.

Devices that NVLink joins, then those of one NUMA node; among equals the choice that leaves the largest aligned
blocks (0-7, 0-3, 4-7, 0-1, …) free for larger requests, as a buddy allocator would.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from trainci.model.device import Device

# Of more free devices than this, only runs of neighbours are looked at: all the ways to choose would take long.
_MOST_FREE = 8


def choose(count: int, free: Sequence[Device], all_devices: Sequence[Device]) -> tuple[str, ...]:
    """The ids of ``count`` of the ``free`` devices, by index; ``all_devices`` are the devices that exist."""
    ordered = sorted(free, key=lambda device: device.index)
    if count == len(ordered):
        return tuple(device.uuid for device in ordered)
    sizes = _block_sizes(len(all_devices))
    free_indices = {device.index for device in free}
    ways = _ways(count, ordered)
    best = min(ways, key=lambda way: _cost(way, free_indices, sizes))
    return tuple(device.uuid for device in best)


def _ways(count: int, ordered: list[Device]) -> list[tuple[Device, ...]]:
    if len(ordered) <= _MOST_FREE:
        return list(combinations(ordered, count))
    return [tuple(ordered[i : i + count]) for i in range(len(ordered) - count + 1)]


def _cost(way: tuple[Device, ...], free: set[int], sizes: list[int]) -> tuple[object, ...]:
    left = free.difference([device.index for device in way])
    links = len({device.group if device.group >= 0 else ~device.index for device in way})
    halves = len({device.numa for device in way})
    return (links, halves, *(-_whole_blocks(left, size) for size in sizes), [device.index for device in way])


def _whole_blocks(free: set[int], size: int) -> int:
    """How many aligned blocks of ``size`` are free as a whole."""
    return sum(first % size == 0 and all(first + i in free for i in range(1, size)) for first in free)


def _block_sizes(devices: int) -> list[int]:
    sizes = []
    size = 2
    while size <= devices:
        sizes.append(size)
        size *= 2
    return sizes[::-1]
