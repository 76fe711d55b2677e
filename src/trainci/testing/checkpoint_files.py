"""The formats of checkpoints, each as names whose values are read on demand. torch is imported by what needs it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainci.errors import UsageError


class Reader(Protocol):
    """A part of a checkpoint. ``names`` are complete, with the prefix that it was opened with."""

    @property
    def names(self) -> list[str]:
        """Each once."""

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """The values of some of ``names``."""


def open_part(path: Path, prefix: str) -> Reader:
    """Open a file, or a directory of torch.distributed.checkpoint.

    :raises UsageError: it cannot be read.
    """
    kind: type[Safetensors | TorchSaved | Distributed]
    kind = Distributed if path.is_dir() else Safetensors if path.suffix == ".safetensors" else TorchSaved
    try:
        return kind(path, prefix)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path}: holds more than tensors and plain values: {error} To read it all the same, allow the classes "
            "with torch.serialization.add_safe_globals([…]) first."
        ) from None
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, _safetensors_error()) as error:
        raise UsageError(f"{path}: cannot be read as a checkpoint: {error}") from None


class Safetensors:
    """One file of https://huggingface.co/docs/safetensors."""

    def __init__(self, path: Path, prefix: str) -> None:
        from safetensors import safe_open

        self._file: Any = safe_open(path, framework="pt")
        self._prefix = prefix

    @property
    def names(self) -> list[str]:
        """See Reader."""
        return [f"{self._prefix}{key}" for key in self._file.keys()]  # noqa: SIM118

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """See Reader."""
        return {name: self._file.get_tensor(name.removeprefix(self._prefix)) for name in names}


class TorchSaved:
    """What ``torch.save`` wrote; nested dicts and lists give names with dots. It is mapped where possible."""

    def __init__(self, path: Path, prefix: str) -> None:
        import torch

        try:
            saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            saved = torch.load(path, map_location="cpu", weights_only=True)  # the format from before torch 1.6
        self._values = dict(_flattened(saved, prefix))
        self.names = list(self._values)

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """See Reader."""
        return {name: self._values[name] for name in names}


class Distributed:
    """A directory of torch.distributed.checkpoint, whichever ranks wrote it."""

    def __init__(self, path: Path, prefix: str) -> None:
        from torch.distributed.checkpoint import FileSystemReader

        self._path = path
        self._prefix = prefix
        self._metadata = FileSystemReader(path).read_metadata().state_dict_metadata
        self.names = [f"{prefix}{key}" for key in self._metadata]

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        """See Reader."""
        import torch
        from torch.distributed import checkpoint
        from torch.distributed.checkpoint.metadata import TensorStorageMetadata

        state: dict[str, Any] = {}
        for name in names:
            key = name.removeprefix(self._prefix)
            known = self._metadata[key]
            is_tensor = isinstance(known, TensorStorageMetadata)
            state[key] = torch.empty(known.size, dtype=known.properties.dtype) if is_tensor else None
        planner = checkpoint.DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
        checkpoint.load(state, checkpoint_id=self._path, planner=planner, no_dist=True)
        return {f"{self._prefix}{key}": value for key, value in state.items()}


def _flattened(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    inside: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, Mapping):
        inside = iter(value.items())
    elif isinstance(value, (list, tuple)):
        inside = iter(enumerate(value))
    if inside is None:
        yield name, value
        return
    dot = "" if name.endswith((":", "/")) or not name else "."
    for key, item in inside:
        yield from _flattened(item, f"{name}{dot}{key}")


def _safetensors_error() -> type[Exception]:
    try:
        from safetensors import SafetensorError
    except ImportError:
        return UsageError
    return SafetensorError
