"""Pure: what is painted of a long output: its beginning as it comes, and its end once it has ended."""

from __future__ import annotations

# Of what one attempt prints, in bytes. Nobody reads as much in a job's log; who searches the stream of a test that
# prints less finds all of it.
PAINTED = 16 << 20
_END = 1 << 16
# How long the rest of a line may be that is not cut.
_NEAR = 1 << 12


class Excerpt:
    """Takes output in pieces. Its beginning is ``most`` bytes, and what is left of their last line."""

    def __init__(self, most: int = PAINTED) -> None:
        self._room = most
        self._end = bytearray()
        self._lines = 0
        self._bytes = 0
        self.full = False

    def begin(self, data: bytes) -> bytes:
        """What of ``data`` belongs to the beginning; it is ``full`` once that has ended."""
        if self.full:
            self._keep(data)
            return b""
        if len(data) <= self._room:
            self._room -= len(data)
            return data
        self.full = True
        cut = _line_end(data, self._room)
        self._keep(data[cut:])
        return data[:cut]

    def end(self) -> tuple[str, bytes]:
        """How much is between the beginning and the end, empty if nothing is; and the end."""
        self._drop(self._last_lines())
        between = f"{self._lines:,} lines" if self._lines else f"{self._bytes / (1 << 20):,.1f} MiB"
        return (between if self._bytes else ""), bytes(self._end)

    def _keep(self, data: bytes) -> None:
        self._end += data
        if len(self._end) > 4 * _END:
            self._drop(self._last_lines())

    def _last_lines(self) -> int:
        """Where the last bytes begin that are kept."""
        place = len(self._end) - _END
        return _line_end(self._end, place) if place > 0 else 0

    def _drop(self, size: int) -> None:
        self._lines += self._end.count(b"\n", 0, size)
        self._bytes += size
        del self._end[:size]


def _line_end(data: bytes | bytearray, place: int) -> int:
    """``place``, or the end of its line if that is near."""
    return data.find(b"\n", place, place + _NEAR) + 1 or place
