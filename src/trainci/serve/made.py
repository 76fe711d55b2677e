"""Pages as they were made, shown again to whoever asks until what they are made of has become another."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

# So many pages are kept.
_MOST = 16
# A file's time is as coarse as the kernel's clock: what changed just now may change again and look the same.
_SETTLED_S = 0.1
_T = TypeVar("_T")


@dataclass
class _Kept(Generic[_T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: Hashable | None = None
    page: list[_T] = field(default_factory=list)


class Made(Generic[_T]):
    """The pages that were asked for last, by their addresses. Several threads may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept[_T]] = OrderedDict()

    def page(self, address: str, stamp: Callable[[], Hashable | None], make: Callable[[], _T]) -> _T:
        """What ``make`` made when the ``stamp`` was the same; where it is None, it is made again.

        Of several who ask for the same at once one makes it, and the others have it from there.
        """
        with self._lock:
            kept = self._kept.setdefault(address, _Kept())
            self._kept.move_to_end(address)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        with kept.lock:
            # Asked first: what is written while the page is made is in the next one.
            now = stamp()
            if now is None or now != kept.stamp or not kept.page:
                kept.page = [make()]
                kept.stamp = now
            return kept.page[0]


def stamp_of(*files: Path) -> Hashable | None:
    """What says whether ``files`` are as they were; None where one has changed just now."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append((0, 0, 0))
            continue
        if time.time() - status.st_mtime < _SETTLED_S:
            return None
        found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
