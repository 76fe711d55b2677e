"""Which file system a path is on: those of a network lock and map files otherwise than a disk."""

from __future__ import annotations

import os
from typing import NamedTuple

from trainci.host.files import read_text

_NETWORK_FILE_SYSTEMS = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "fuse.ceph",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.gcsfuse",
        "fuse.s3fs",
        "fuse.juicefs",
        "9p",
        "afs",
        "ocfs2",
        "gfs2",
        "wekafs",
        "virtiofs",
    )
)


class Mount(NamedTuple):
    """``kind`` of file system, its ``source``, and the ``point`` at which it is mounted (proc(5), mountinfo)."""

    kind: str
    source: str
    point: str

    @property
    def is_network(self) -> bool:
        """Whether other hosts may have it, too."""
        return self.kind in _NETWORK_FILE_SYSTEMS


def mount_of(path: str, mountinfo: str | None = None) -> Mount:
    """The mount that ``path`` is on; ``mountinfo`` (proc(5)) is read from this host unless given."""
    path = os.path.realpath(path)
    best = Mount("", "", "")
    for line in (read_text("/proc/self/mountinfo") or "" if mountinfo is None else mountinfo).splitlines():
        point = line.split(" ", 5)[4]
        if "\\" in point:
            # Blanks are written in octal.
            point = point.encode().decode("unicode_escape")
        # Of two mounts on one point the later covers the earlier.
        if len(point) >= len(best.point) and (path == point or path.startswith(point.rstrip("/") + "/")):
            kind = line.partition(" - ")[2].split(" ")
            best = Mount(kind[0], kind[1], point)
    return best
