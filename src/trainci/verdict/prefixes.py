"""Pure: what CI systems, launchers and loggers put before a line, and whose line it is by that.

Which rank or worker a line comes from is told by torch (``[rank3]:``), torchrun and Megatron-LM (``[default3]:``),
ray (``(Trainer pid=7, ip=10.0.0.1)``, with whatever an actor is called by its own ``__repr__``), vLLM
(``(EngineCore_0 pid=7)``), Open MPI (``[1,3]<stderr>:``), Horovod (``[1]<stderr>:``), Slurm (``3: ``), docker
compose and trainci itself (``tests/test_x.py | ``).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Line(NamedTuple):
    """A line without its prefixes. ``stream`` names the rank or worker, empty where nothing tells."""

    number: int
    stream: str
    text: str


# When a line was written, as CI systems say it.
_TIME = (
    r"(?:[^\t]+\t[^\t]+\t)?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)"
    r"(?: (?:stdout|stderr) [FP]| \d\d[OE])?[ +]?"
    r"|\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z?\] ?"
    r"|\d\d:\d\d:\d\d(?:\.\d+)?(?: {1,2}|$)|\[\d\d:\d\d:\d\d(?:\.\d+)?\][ :]{0,2}"
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)?(?: (?!- |\| )|$)|#\d+ \d+\.\d+(?: |$)"
    r"|\d{1,4}\.\d{2,3} (?=(?:[EW]|ERROR|error|fatal): |E   |Traceback|  File |[\w.]*(?:Error|Exception): )"
)
# Each ends where the line's own text, with its indentation, begins.
_PREFIX = re.compile(
    rf"(?:{_TIME}"
    r"|INTERNALERROR> ?"
    r"|##\[(?:error|debug|group|command)\]|::error[^:]*::"
    r"|time=\"?[\dT:.,+Z-]+\"? level=\w+ msg=\"?"
    r"|(?P<rank>\[(?:rank|default)?\d+\]:) ?"
    r"|(?P<mpi>\[\d+(?:,\d+)?\]<std(?:out|err)>:) ?|(?:stdout|stderr):(?: |$)"
    r"|(?P<task> {0,3}\d{1,5}: )(?=\s|Traceback|[A-Za-z_][\w.]*(?:Error|Exception)|\[)"
    r"|(?:\[\d\dm)?(?P<worker>\((?:[^\n]{1,160}? )?pid=\d+(?:, ip=[\w.:]+)?\)"
    r"|\(raylet(?:, ip=[\w.:]+)?\))(?:\[0m)? ?"
    r"|(?P<tag>\([A-Za-z][\w.-]{1,30}\)) (?=\s|Traceback|[A-Za-z_][\w.]*(?:Error|Exception))"
    r"|(?P<service>[\w./-]+(?:\[[^\]]*\])? +\|(?: |$))"
    r"|\[[A-Z] ?\d{3,4} \d\d:\d\d:\d\d[.\d]* [\w./]+:\d+\] ?"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d[.\d]* +(?:\d+ )?[\w./]+:\d+\] ?"
    r"|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d (?:\[[\w./]+:\d+\]|[\w./]+:\d+\]) ?"
    r"|\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:[.,]\d+)?(?P<part>(?: (?:ATTN_)?(?:DP|TP|PP|EP|CP)\d+)+)?\](?: |$)"
    r")"
)
_LONGEST_PREFIXES = 6
_TIMES = re.compile(f"(?:{_TIME})*")
# Who may have put a name of its own before each line: a host (``gpu-9: ``), a rank (``3: ``), a pod, a branch of a
# pipeline (``[build-3] ``). A name that is that of a kind of lines holds no digit.
_NAMED = re.compile(r"(?P<own>\[[\w./:@-]{2,60}\]|(?=[\w.-]*\d)[\w.-]{1,60}:)(?: |$)")
_FEWEST_LINES = 4
_SHARE = 0.8


def shared(lines: Sequence[str]) -> re.Pattern[str] | None:
    """What stands before nearly each of ``lines``, but for its numbers; None where nothing does."""
    written = [line for line in lines if line.strip()]
    shapes = Counter(_shape(named["own"]) for line in written if (named := _named(line)))
    shape, count = max(shapes.items(), key=lambda item: item[1], default=("", 0))
    if count < _FEWEST_LINES or count < _SHARE * len(written):
        return None
    return re.compile(f"(?P<named>{shape})(?: |$)")


def _named(line: str) -> re.Match[str] | None:
    times = _TIMES.match(line)
    return _NAMED.match(line, times.end() if times else 0)


def _shape(prefix: str) -> str:
    return re.sub(r"\d+", r"\\d+", re.escape(prefix))


def split(number: int, text: str, name: re.Pattern[str] | None = None) -> Line:
    """Line ``number``, which reads ``text``, without its prefixes; ``name`` is one that lines share."""
    streams: list[str] = []
    position = 0
    for _ in range(_LONGEST_PREFIXES):
        match = (name.match(text, position) if name else None) or _PREFIX.match(text, position)
        if not match or match.end() == position:
            break
        if kind := match.lastgroup:
            streams.append(match[kind].strip(" |:"))
        position = match.end()
    return Line(number, " ".join(streams), text[position:])


def is_of_rank(stream: str) -> bool:
    """Whether what stands before a line says which rank it is of, as torch does."""
    return re.search(r"\brank\d", stream) is not None


_LEVEL = re.compile(r"\b(?:ERROR|CRITICAL|FATAL)\b|\b[EF] ?\d{3,4} \d\d:|level=(?:error|fatal)\b")


def says_error(text: str, line: Line) -> bool:
    """Whether what stood before ``line``, which read ``text``, is of a logger's that says that it is an error."""
    return _LEVEL.search(text[: len(text) - len(line.text)]) is not None


def lines_of(number: int, text: str, name: re.Pattern[str] | None = None) -> list[Line]:
    """What was written into line ``number``, which reads ``text``: mostly one line, without its prefixes."""
    return [line for part in _unfolded(text) for line in _apart(split(number, part, name))]


# torch writes a rank's traceback at once, and another rank's line (a progress bar) may not have ended before it.
_BEHIND = re.compile(r"(?<=[^\"'`])\[rank\d+\]:[ |+]*(?:Exception Group )?Traceback \(most recent call last\):$")
_IN_MESSAGE_OF_PYTEST = "E "


def _apart(line: Line) -> list[Line]:
    """``line``, and the beginning of a rank's traceback that stands behind it, if one does."""
    behind = _BEHIND.search(line.text)
    if not behind or line.text.startswith(_IN_MESSAGE_OF_PYTEST):
        return [line]
    begun = split(line.number, behind[0])
    stream = f"{line.stream} {begun.stream}".strip()
    return [line._replace(text=line.text[: behind.start()]), begun._replace(stream=stream)]


_IN_JSON = "Traceback (most recent call last):\\n"
_JSON_END = re.compile(r'(?<!\\)"')


# Where loggers put what they are told; what was raised has many names, and words in it.
_TOLD = ("log", "message", "msg", "event")


def _message(text: str) -> str | None:
    """What a line of JSON that a logger wrote says, but for a warning, whose level is as much as its words."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or str(entry.get("level", "")).lower().startswith("warn"):
        return None
    told = [entry.pop(key) for key in _TOLD if isinstance(entry.get(key), str)]
    said = [*told, *(value for value in entry.values() if isinstance(value, str) and " " in value)]
    return "\n".join(value.rstrip("\n") for value in said) if said else None


def _unfolded(text: str) -> list[str]:
    """What a line of JSON says, else ``text`` and the lines of the traceback that it holds within such a string."""
    if text.startswith('{"') and (said := _message(text)) is not None:
        return said.split("\n")
    before, mark, rest = text.partition(_IN_JSON)
    if not mark:
        return [text]
    inside = _JSON_END.split(rest, maxsplit=1)[0].replace('\\"', '"')
    return [before, *(mark + inside).split("\\n")]
