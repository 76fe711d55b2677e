"""Blocks of TCP ports that no other lease on the host has, each behind a lock like that of a device."""

from __future__ import annotations

import os

from trainci.errors import MachineError
from trainci.lease.directory import Directory
from trainci.lease.locks import take

# Below the ports that Linux hands out by itself (32768-60999, /proc/sys/net/ipv4/ip_local_port_range).
FIRST = 20000
BLOCK = 100
BLOCKS = 120
# Of a block, the ports that a rendezvous takes first; a stranger's server there makes the block useless.
_CHECKED = 3


def take_block(directory: Directory, seed: int) -> tuple[int, int]:
    """Take a free block: its first port, and the descriptor that holds it. ``seed`` says where to look first.

    :raises MachineError: no block is free.
    """
    for attempt in range(BLOCKS):
        base = FIRST + BLOCK * ((seed + attempt) % BLOCKS)
        descriptor = take(directory, directory.join("ports", f"{base}.lock"))
        if descriptor is None:
            continue
        if all(_is_free(port) for port in range(base, base + _CHECKED)):
            return base, descriptor
        os.close(descriptor)
    raise MachineError(
        f"no block of ports is free between {FIRST} and {FIRST + BLOCK * BLOCKS - 1}: {BLOCKS} leases run on this "
        "host, or other servers listen there."
    )


def _is_free(port: int) -> bool:
    import _socket  # `socket` itself imports enum and selectors, 10 ms.

    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        probe.bind(("", port))
    except OSError:
        return False
    finally:
        probe.close()
    return True
