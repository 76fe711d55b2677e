"""Pure: whether a fact of the machine can be why an attempt ended, by what its log says of that.

A fact is of the attempt's own time. That a clock jumped makes no package vanish, and a full disk no argument wrong.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainci.model.diagnosis import Blame, Kind
from trainci.verdict.follows import ON_BROKEN_DEVICES
from trainci.verdict.last_words import Words
from trainci.verdict.weigh import Candidate, Weight


class Bearing(enum.Enum):
    """What a fact is to an ending: it explains it, it may, or it has nothing to do with it."""

    EXPLAINS = "explains"
    MAY = "may"
    NONE = "none"


@dataclass(frozen=True)
class _Reach:
    """How far a fact goes: the rules that it explains, the words by which a program speaks of such a thing.

    ``doubts``: what it touches may be wrong in any way, so that it may be behind every number and every mistake.
    """

    words: re.Pattern[str]
    rules: frozenset[str] = frozenset()
    doubts: bool = False


_DEVICE = _Reach(
    re.compile(r"(?i)cuda|nccl|cublas|cudnn|\bhip\b|rccl|nvml|gpu|device|driver|collective|\brank\b|engine|kernel"),
    ON_BROKEN_DEVICES | {"crash"},
    doubts=True,
)
_FILES = re.compile(
    r"(?i)\b(?:sav|writ|wrote|flush|dump|stor|cop[iy]|extract|unpack|download|install|mkdir|open|read|files?\b"
    r"|director|disk|cach|checkpoint|ckpt|te?mp\b|database|truncat|OSError|JSONDecodeError)|\bpos \d+ vs \d"
)
_DISK = _Reach(_FILES, frozenset({"file-cut-short", "package-hash", "hub-unclear"}))
_SHM = _Reach(
    re.compile(r"(?i)shared memory|\bshm\b|/dev/shm|worker|bus error|mmap|semaphore|OSError"),
    frozenset({"limits-of-the-host"}),
)
_CLOCK = _Reach(
    re.compile(
        r"(?i)\btim(?:e|ed|er|ing)\b|time-?(?:out|stamp)|expir|heartbeat|\blease|deadline|certificate"
        r"|not (?:yet )?valid|skew|\bstale\b|\bin the (?:future|past)\b"
        r"|\d ?(?:ms|s|sec\w*|min\w*|h|hours?|days?)\b(?: ago)?"
    ),
)
_RESTART = _Reach(
    re.compile(r"(?i)connect|closed|\bgone\b|signal|terminat|kill|\blost\b|refused|socket|\bpeer\b|stopp|shut"),
    frozenset({"rank-sigkill"}),
)
_EVERYTHING = _Reach(re.compile(""))
_REACH: Mapping[str, _Reach] = {
    "device-lost": _DEVICE,
    "ecc": _DEVICE,
    "xid": _DEVICE,
    "disk-full": _DISK,
    "shm-full": _SHM,
    "clock-jumped": _CLOCK,
    "container-restarted": _RESTART,
}
# What was asked for wrongly, or not written rightly, and comes of nothing that happens to a host.
_ASKED = frozenset(
    {
        *("package-not-found", "hub-unclear", "git-not-found", "wrong-arguments"),
        *("import-error", "does-not-compile", "played", "collective-misuse"),
    }
)
_NO_INDEX = "from versions: none"


def bearing(fact: str, decided: Candidate | None, said: Words | None) -> Bearing:
    """What the fact of the rule ``fact`` is to an ending.

    ``decided`` is what decided by the log, None where nothing did; ``said`` is what the program said of itself
    then, or before a process that ended was told of.
    """
    reach = _REACH.get(fact, _EVERYTHING)
    if decided is None or (decided.kind is Kind.CONSEQUENCE and decided.rule not in _ASKED):
        return _of_words(reach, said.text if said else "", Weight.ANY)
    if decided.rule in reach.rules or decided.blame is Blame.MACHINE:
        return Bearing.EXPLAINS
    if decided.rule in ("exception", "assertion"):
        return _of_words(reach, decided.evidence, decided.weight)
    if decided.rule in _ASKED or decided.blame is Blame.CONFIG:
        return Bearing.MAY if _NO_INDEX in decided.evidence else Bearing.NONE
    if decided.blame is Blame.UNSURE:
        return Bearing.MAY if reach.words.search(decided.evidence) else Bearing.NONE
    return Bearing.MAY if reach.doubts else Bearing.NONE


def _of_words(reach: _Reach, text: str, weight: Weight) -> Bearing:
    """Whether what was said speaks of what the fact is about; what says nothing may come of anything."""
    named = not text or reach.words.search(text) is not None
    if weight is Weight.ANY:
        return Bearing.EXPLAINS if named else Bearing.MAY
    return Bearing.MAY if named or reach.doubts else Bearing.NONE
