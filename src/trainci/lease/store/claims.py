"""The hold of a device that no file can lose: a name in the kernel, held by every process of the job.

The lock directory can be emptied under a lease that runs (``rm``, or systemd's RemoveIPC in /dev/shm).
An abstract Unix socket (unix(7)) is bound to its name until its last process ends, and a name is bound once in a
network namespace: on a host and in all containers that share its network, whatever their lock directories are.
"""

from __future__ import annotations

import os
import socket
from binascii import crc32
from collections.abc import Collection

from trainci.host.files import read_text
from trainci.lease.store.directory import Directory

_PREFIX = "trainci-device-"


def claim(directory: Directory, uuid: str) -> int | None:
    """Bind the name of a device; the descriptor that holds it, or None where another has it."""
    return bind(_name(directory, uuid))


def bind(name: str) -> int | None:
    """Bind an abstract name; the descriptor that holds it, or None where another has it."""
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        endpoint.bind(f"\0{name}".encode())
    except OSError:
        endpoint.close()
        return None
    return int(endpoint.detach())


def claimed(directory: Directory, uuids: Collection[str]) -> set[str]:
    """Those of the devices whose name somebody holds. Looked up, not tried: a try would be in another's way."""
    bound = {line.rpartition(" ")[2] for line in (read_text("/proc/net/unix") or "").splitlines()}
    return {uuid for uuid in uuids if f"@{_name(directory, uuid)}" in bound}


def _name(directory: Directory, uuid: str) -> str:
    """A GPU is the same one for every lock directory; the rest are those of theirs."""
    if uuid.startswith(("GPU-", "MIG-")) and not directory.nested:
        return f"{_PREFIX}{uuid}"
    return f"{_PREFIX}{crc32(os.fsencode(os.path.realpath(directory.path))):08x}-{uuid}"
