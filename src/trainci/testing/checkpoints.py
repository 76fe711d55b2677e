"""Two checkpoints, tensor by tensor: what was saved against what should have been."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainci.errors import UsageError
from trainci.testing.checkpoint_files import Reader, open_part
from trainci.testing.differences import Difference, told
from trainci.testing.numerics import differences

# How many values of each checkpoint are in memory at once.
_TOGETHER = 32


def assert_checkpoints_equal(
    actual: str | os.PathLike[str], expected: str | os.PathLike[str], *, rtol: float = 0.0, atol: float = 0.0
) -> None:
    """Assert that ``compare_checkpoints`` finds nothing; the arguments are the same.

    :raises AssertionError: something differs; its message holds a table of where and by how much.
    :raises UsageError: one of them cannot be read, or holds nothing.
    """
    found = compare_checkpoints(actual, expected, rtol=rtol, atol=atol)
    if found:
        raise AssertionError(told(found, f"{Path(actual)} differs from {Path(expected)}", rtol, atol))


def compare_checkpoints(
    actual: str | os.PathLike[str], expected: str | os.PathLike[str], *, rtol: float = 0.0, atol: float = 0.0
) -> list[Difference]:
    """Where two checkpoints differ: in names, shapes, dtypes or values; NaN equals NaN here.

    Each is a directory, or one file, of safetensors, of ``torch.save`` (read without running any code), or a
    directory of torch.distributed.checkpoint, as Megatron-Core writes too; directories are searched to any depth,
    and other files are ignored. How a checkpoint is cut into shards makes no difference: the safetensors of one
    directory are one whole, as is what torch.distributed.checkpoint saved from any number of ranks. Values are read
    a few at a time.

    :raises UsageError: one of them cannot be read, or holds nothing: an empty comparison proves nothing.
    """
    one, other = _open(Path(actual)), _open(Path(expected))
    found = [_only(name, "actual") for name in one if name not in other]
    found += [_only(name, "expected") for name in other if name not in one]
    for names in _groups([name for name in other if name in one]):
        values, wanted = _read(one, names), _read(other, names)
        for name in names:
            found += differences(values[name], wanted[name], rtol=rtol, atol=atol, equal_nan=True, name=name)
    return found


def _open(path: Path) -> dict[str, Reader]:
    """Every name of a checkpoint, with what reads its value."""
    readers: dict[str, Reader] = {}
    for prefix, part in _parts(path):
        reader = open_part(part, prefix)
        for name in reader.names:
            if name in readers:
                raise UsageError(f"{part}: {name} stands in another file of {path}, too; which one counts?")
            readers[name] = reader
    if not readers:
        raise UsageError(
            f"{path}: there is no checkpoint here (safetensors, torch.save, torch.distributed.checkpoint)"
        )
    return readers


def _parts(path: Path) -> Iterator[tuple[str, Path]]:
    """What ``open_part`` can open, with the prefix of its names."""
    if path.is_file():
        yield "", path
        return
    for directory, below, files in os.walk(path):
        below.sort()
        here = Path(directory)
        prefix = "" if here == path else f"{here.relative_to(path).as_posix()}/"
        if ".metadata" in files:
            yield prefix, here
        for file in sorted(files):
            if file.endswith(".safetensors"):
                yield prefix, here / file
            elif file.endswith((".pt", ".pth", ".bin", ".ckpt")):
                yield f"{prefix}{file}:", here / file


def _groups(names: list[str]) -> Iterator[list[str]]:
    left = iter(names)
    while group := list(itertools.islice(left, _TOGETHER)):
        yield group


def _read(readers: Mapping[str, Reader], names: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    by_reader = itertools.groupby(
        sorted(names, key=lambda name: id(readers[name])), key=lambda name: id(readers[name])
    )
    for _, group in by_reader:
        wanted = list(group)
        values.update(readers[wanted[0]].read(wanted))
    return values


def _only(name: str, where: str) -> Difference:
    there, missing = "(there)", "(missing)"
    return Difference(name, *((there, missing) if where == "actual" else (missing, there)))
