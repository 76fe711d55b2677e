"""A file of one JSON object a line, to which a test could write: in bounded memory, without what is not ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from trainci.host.files import open_plain


def objects(path: Path, longest_line: int, most_lines: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a file, none if there is no such file; a line may be so many bytes long."""
    try:
        file = open_plain(path)
    except OSError:
        return
    with file:
        # A longer line comes in pieces, none of which is an object.
        yield from objects_of(islice(iter(lambda: file.readline(longest_line), b""), most_lines))


def objects_of(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects that ``lines`` hold, one each; what is none is left out."""
    for line in lines:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            yield said
