"""A folder for what runs leave: a directory, or a prefix of an object store. Only this file knows fsspec."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from trainci.errors import MachineError, UsageError
from trainci.text import printable

_LARGEST_FILE = 1 << 32
_MOST_FILES = 10_000
# What a run's folder may hold that is worth sending; nothing else is sent or fetched, whoever put it there.
SENT = re.compile(r"events\.jsonl|devices\.jsonl|\d{3,}-[A-Za-z0-9._-]+\.(?:log|metrics\.jsonl)")


class PlaceAway(MachineError):
    """It does not answer, or does not take what is sent. It may soon."""


class Place:
    """The folder that ``url`` names: ``s3://bucket/prefix``, ``file:///shared/runs`` or a plain path.

    Who may write there stands in the environment, as each of fsspec's file systems reads it.

    :raises UsageError: fsspec, or what it needs for such a URL, is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise UsageError(
                f"artifacts {printable(url)}: fsspec is not installed here. pip install 'trainci[artifacts]'."
            ) from None
        try:
            fsspec.get_filesystem_class(url.partition("://")[0] if "://" in url else "file")
        except (ImportError, ValueError) as error:
            raise UsageError(f"artifacts {printable(url)}: {_said(error)}.") from None
        self.url = url

    @cached_property
    def _connected(self) -> tuple[Any, str]:
        import fsspec

        # What an earlier one was told, or has listed, may not be true now.
        files, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True)
        return files, path.rstrip("/")

    def send(self, name: str, source: BinaryIO) -> None:
        """Write a file below the folder; one that is there is written over.

        :raises PlaceAway: that did not work.
        """
        try:
            with self._open(name) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except Exception as error:
            raise PlaceAway(f"{printable(self.url)}: {_said(error)}") from None

    def fetch(self, folder: Path) -> None:
        """Copy the files of the run that lies there into ``folder``.

        :raises UsageError: no run lies there.
        :raises PlaceAway: it does not answer.
        """
        try:
            files, path = self._connected
            names = [each.rpartition("/")[2] for each in files.ls(path, detail=False)]
            found = sorted(filter(SENT.fullmatch, names))[:_MOST_FILES]
            for name in found:
                with files.open(f"{path}/{name}", "rb") as source, (folder / name).open("wb") as target:
                    _copy(source, target)
        except FileNotFoundError:
            found = []
        except Exception as error:
            raise PlaceAway(f"{printable(self.url)}: {_said(error)}") from None
        if not found:
            raise UsageError(f"{printable(self.url)}: no run lies there.")

    def _open(self, name: str) -> Any:
        files, folder = self._connected
        path = f"{folder}/{name}"
        try:
            return files.open(path, "wb")
        except FileNotFoundError:
            # Never by itself: an object store would make a bucket.
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            return files.open(path, "wb")


@contextmanager
def fetched(url: str) -> Iterator[Path]:
    """The run that lies at ``url``, in a folder that is there while the block runs.

    :raises UsageError: none lies there, or what such a URL needs is not installed.
    :raises PlaceAway: it does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="trainci-") as folder:
        Place(url).fetch(Path(folder))
        yield Path(folder)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    left = _LARGEST_FILE
    while left > 0 and (data := source.read(min(left, 1 << 20))):
        target.write(data)
        left -= len(data)


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return printable(lines[0] if lines else type(error).__name__)
