"""The files of a repository, as far as they are looked at: bounded, and never beyond its root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from trainci.git import Listing
from trainci.host.files import open_plain
from trainci.text import printable

_LARGEST_SOURCE = 2**20
_MOST_FILES_OF_SUBMODULE = 50_000


@dataclass
class Tree:
    """What is below ``root``: ``files``, ``links`` with where they lead below it, ``submodules``.

    ``unread`` are the sources that were asked for and are too large.
    """

    root: Path
    files: set[str]
    links: dict[str, str]
    submodules: frozenset[str]
    unread: set[str] = field(default_factory=set)

    def read(self, path: str) -> bytes | None:
        """The content of a file, or None where it cannot be read, is too large or leads out of the repository."""
        try:
            with open_plain(self.root / self.links.get(path, path)) as file:
                if os.fstat(file.fileno()).st_size > _LARGEST_SOURCE:
                    self.unread.add(path)
                    return None
                return file.read(_LARGEST_SOURCE)
        except OSError:
            return None

    def notes(self) -> list[str]:
        """A sentence for each source that was too large to be read."""
        # Data may well be large, and names nothing.
        sources = sorted(path for path in self.unread if path.endswith((".py", ".sh")))
        return [f"{printable(path)} is larger than 1 MiB, so what it uses is not seen." for path in sources]


def read_tree(root: Path, listing: Listing) -> Tree:
    """The tree of what git lists below ``root``, with the files of its submodules."""
    files = set(listing.files)
    for submodule in sorted(listing.submodules):
        files.update(_below(root, submodule))
    links: dict[str, str] = {}
    real_root = os.path.realpath(root)
    for link in sorted(listing.links):
        target = os.path.relpath(os.path.realpath(root / link), real_root)
        # One to a folder around itself would give every file a second name, and a third.
        if target != "." and not target.startswith("../") and not link.startswith(f"{target}/"):
            links[link] = target
    return Tree(root, files, links, listing.submodules)


def _below(root: Path, folder: str) -> Iterator[str]:
    left = _MOST_FILES_OF_SUBMODULE
    for directory, folders, names in os.walk(root / folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names[:left]:
            yield (Path(directory) / name).relative_to(root).as_posix()
        left -= len(names)
        if left <= 0:
            return
