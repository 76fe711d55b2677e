"""Blocks of TCP ports that no other lease has which could listen on the same ports.

A block is an abstract Unix socket that is bound to its name (unix(7)): like a lock, the kernel frees it with the
last process that has it open. Such names are, like ports, those of a network namespace: containers under a host
network share them whatever their lock directories are, containers with a network of their own need not.
"""

from __future__ import annotations

import socket

from trainci.errors import MachineError

# Below the ports that Linux hands out by itself (32768-60999, /proc/sys/net/ipv4/ip_local_port_range).
FIRST = 20000
BLOCK = 100
BLOCKS = 120
# Of a block, the ports that a rendezvous takes first; somebody else's server there makes the block useless.
_CHECKED = 3


def take_block(seed: int) -> tuple[int, int]:
    """Take a free block: its first port, and the descriptor that holds it. ``seed`` says where to look first.

    :raises MachineError: no block is free.
    """
    for attempt in range(BLOCKS):
        base = FIRST + BLOCK * ((seed + attempt) % BLOCKS)
        descriptor = _claim(base)
        if descriptor is not None:
            return base, descriptor
    raise MachineError(
        f"no block of ports is free between {FIRST} and {FIRST + BLOCK * BLOCKS - 1}: {BLOCKS} leases run on this "
        "host, or other servers listen there."
    )


def _claim(base: int) -> int | None:
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0trainci-ports-{base}".encode())
        for port in range(base, base + _CHECKED):
            with_port = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                with_port.bind(("", port))
            finally:
                with_port.close()
    except OSError:
        name.close()
        return None
    return int(name.detach())
