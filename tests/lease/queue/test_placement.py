"""Promise 7: NVLink, then one NUMA half, and whole aligned blocks are kept for larger requests."""

from __future__ import annotations

import pytest

from trainci.lease.queue.placement import choose
from trainci.model.device import Device


def devices(count, groups=None, numa=None):
    return tuple(
        Device(i, str(i), numa=numa[i] if numa else -1, group=groups[i] if groups else -1) for i in range(count)
    )


def chosen(count, free, all_devices):
    return [
        int(uuid) for uuid in choose(count, [device for device in all_devices if device.index in free], all_devices)
    ]


def test_devices_joined_by_nvlink_come_together():
    assert chosen(2, {1, 2, 3}, devices(4, groups=[0, 1, 0, 1])) == [1, 3]


def test_then_one_numa_half():
    assert chosen(2, {3, 4, 5}, devices(8, numa=[0, 0, 0, 0, 1, 1, 1, 1])) == [4, 5]


@pytest.mark.parametrize(
    ("count", "free", "expected"),
    [
        (1, {0, 1, 2, 3, 4, 5, 7}, [7]),  # The single one, not one that breaks a pair.
        (1, {0, 1, 2, 3, 6, 7}, [6]),  # A pair is broken before a block of four.
        (2, {0, 1, 2, 3, 6, 7}, [6, 7]),
        (2, {1, 2, 4, 5, 6, 7}, [1, 2]),  # No pair is aligned here, and the block of four stays whole.
        (4, {0, 1, 2, 3, 4, 5, 6, 7}, [0, 1, 2, 3]),
        (8, set(range(8)), list(range(8))),
    ],
)
def test_aligned_blocks_stay_free_for_larger_requests(count, free, expected):
    assert chosen(count, free, devices(8)) == expected


def test_many_devices_are_placed_without_trying_every_way():
    assert len(chosen(16, set(range(32)), devices(32))) == 16


def test_the_command_gets_such_a_choice(host):
    host.holder("--devices", "0")
    job = host.holder("--count", "1")
    assert job.event("granted")["indices"] == [1]
