"""``convert_checkpoint``: a conversion is made once per host, and kept while what it was made of stays the same."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainci.errors import MachineError, UsageError
from trainci.testing.host_lock import host_lock

_CHUNK = 1 << 20
_HEXADECIMAL = frozenset("0123456789abcdef")


def convert_checkpoint(
    source: str | os.PathLike[str],
    convert: Callable[[Path, Path], object],
    *,
    key: Sequence[str] = (),
    depends_on: Sequence[str | os.PathLike[str]] = (),
    cache: str | os.PathLike[str] | None = None,
) -> Path:
    """The directory that ``convert(source, target)`` filled, from the cache if it has been filled before.

    Its place in the cache follows from the contents of ``source`` (a file or a directory), the text of the function
    ``convert``, the strings of ``key`` (the converter's arguments and version), and the contents of the files and
    directories ``depends_on`` (the converter's scripts): a change of any of them is another conversion. ``cache``
    is a directory that all runners of a host may share, ``$TRAINCI_CACHE`` or ``~/.cache/trainci`` by default.

    However many processes ask, one converts, and the others wait for it. A conversion that fails or is killed
    leaves nothing that would be taken for a result; the next one begins from the start.

    :raises UsageError: there is no such source or dependency, or ``convert`` made nothing.
    :raises MachineError: the cache cannot be written. What ``convert`` raises is passed on.
    """
    origin = Path(source)
    root = _root(cache)
    place = root / "converted" / _address(origin, convert, key, [Path(path) for path in depends_on])
    what = f"conversion of {origin}"
    try:
        lock = host_lock(place.with_suffix(".lock"), what)
        with lock:
            if not _is_whole(place):
                _fill(place, origin, convert, what)
    except PermissionError as error:
        raise MachineError(f"{what}: the cache {root} cannot be written: {error}") from None
    return place


def _fill(place: Path, source: Path, convert: Callable[[Path, Path], object], what: str) -> None:
    # Only the holder of the lock is here, so what is in these places was left by a process that was killed.
    partial = place.with_suffix(".partial")
    for left in (partial, place):
        shutil.rmtree(left, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        convert(source, partial)
        made = _sizes(partial)
        if not made:
            raise UsageError(f"{what}: convert(source, target) left no file in {partial}")
        _manifest(partial).write_text(json.dumps(made))
        partial.rename(place)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _is_whole(place: Path) -> bool:
    """Is everything there that was made? A host that lost power may have kept names without contents."""
    try:
        made = json.loads(_manifest(place).read_text())
    except (OSError, ValueError):
        return False
    return bool(made == _sizes(place))


def _manifest(directory: Path) -> Path:
    return directory / ".trainci-made.json"


def _sizes(directory: Path) -> dict[str, int]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and path != _manifest(directory))
    return {path.relative_to(directory).as_posix(): path.stat().st_size for path in files}


def _root(cache: str | os.PathLike[str] | None) -> Path:
    return Path(cache or os.environ.get("TRAINCI_CACHE") or Path.home() / ".cache" / "trainci")


def _address(
    source: Path, convert: Callable[[Path, Path], object], key: Sequence[str], depends_on: Sequence[Path]
) -> str:
    if isinstance(key, str):
        raise UsageError(f"convert_checkpoint: key={key!r} must be a list of strings")
    parts = [*_contents(source), "converted by", _text(convert), "with", *key]
    for path in depends_on:
        parts += ["depends on", *_contents(path)]
    # As JSON, so that no two lists of parts run together into the same text.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _text(convert: Callable[[Path, Path], object]) -> str:
    try:
        return inspect.getsource(convert)
    except (OSError, TypeError):
        return (
            f"{getattr(convert, '__module__', '')}.{getattr(convert, '__qualname__', type(convert).__qualname__)}"
        )


def _contents(path: Path) -> Iterator[str]:
    """Names and hashes of all files of ``path``, whatever it is called itself."""
    if path.is_file():
        yield _hash(path)
        return
    files = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    if not files:
        raise UsageError(f"convert_checkpoint: {path}: there is nothing to convert or to depend on")
    for file in files:
        yield file.relative_to(path).as_posix()
        yield _hash(file)


def _hash(file: Path) -> str:
    # In the cache of huggingface_hub a file is a link to its hash.
    target = file.readlink() if file.is_symlink() else file
    if target.parent.name == "blobs" and len(target.name) in (40, 64) and _HEXADECIMAL.issuperset(target.name):
        return target.name
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
