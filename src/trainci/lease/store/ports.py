"""Blocks of TCP ports that no other lease has which could listen on the same ports.

A block is an abstract Unix socket that is bound to its name (unix(7)): like a lock, the kernel frees it with the
last process that has it open. Such names are, like ports, those of a network namespace: containers under a host
network share them whatever their lock directories are, containers with a network of their own need not.
"""

from __future__ import annotations

import os
import socket

from trainci.errors import MachineError
from trainci.lease.store.claims import bind
from trainci.lease.store.directory import Directory
from trainci.lease.store.locks import take

# Below the ports that Linux hands out by itself (32768-60999, /proc/sys/net/ipv4/ip_local_port_range).
FIRST = 20000
BLOCK = 100
BLOCKS = 120
# Of a block, the ports that a rendezvous takes first; somebody else's server there makes the block useless.
_CHECKED = 3


def take_block(directory: Directory, seed: int) -> tuple[int, list[int]]:
    """Take a free block: its first port, and the descriptors that hold it. ``seed`` says where to look first.

    Anybody can bind all names. Then the locks in the lock directory are what is left to tell blocks apart.

    :raises MachineError: no block is free, or no lock of one can be opened.
    """
    unusable: MachineError | None = None
    for claim in (_claim, _claim_nothing):
        for attempt in range(BLOCKS):
            base = FIRST + BLOCK * ((seed + attempt) % BLOCKS)
            try:
                lock = take(directory, directory.join("ports", str(base)))
            except MachineError as error:
                # Another user may have put something else there, which only he can remove.
                unusable = error
                continue
            if lock is None:
                continue
            held = claim(base)
            if held is not None and _can_be_bound(base):
                return base, [lock, *held]
            for descriptor in (lock, *(held or ())):
                os.close(descriptor)
    raise unusable or MachineError(
        f"no block of ports is free between {FIRST} and {FIRST + BLOCK * BLOCKS - 1}: {BLOCKS} leases run on this "
        f"host, other servers listen there, or somebody has locked all files in {directory.join('ports')}."
    )


def _claim(base: int) -> list[int] | None:
    descriptor = bind(f"trainci-ports-{base}")
    return None if descriptor is None else [descriptor]


def _claim_nothing(_base: int) -> list[int] | None:
    return []


def _can_be_bound(base: int) -> bool:
    try:
        for port in range(base, base + _CHECKED):
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as with_port:
                with_port.bind(("", port))
    except OSError:
        return False
    return True
