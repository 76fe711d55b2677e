"""Pure: what a log says of a limit that ended a job: what grew up to it, and who had set it.

A limit alone says that a job was too slow or too large for it, and not which of the two is wrong. Where its own
numbers grow up to the limit, the program is; where it worked to the end, and the job had set the limit, that is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from trainci.model.diagnosis import Blame, Diagnosis, Frame
from trainci.verdict.dumps import STOOD, stood
from trainci.verdict.last_words import Tail, deepest

# What says no more than that it did not end in time, or that somebody waited in vain.
_TIME_OVER = ("pytest-timeout", "time-limit", "slurm-time-limit", "waited-in-vain", "nccl-watchdog", "hung")
_OF_MEMORY = frozenset({"kernel-oom", "own-memory-limit"})
_OF_TIME = "slurm-time-limit"
# How a program tells how much memory of the host it has.
_HELD = re.compile(
    r"(?i)\b((?:rss|(?:host|cpu|proc\w*|used|resident)[ _]?mem\w*|mem(?:ory)?|ram)[^\d\n]{1,16})"
    r"(\d+(?:\.\d+)?) ?([KMGT])i?B?\b"
)
_OF_DEVICES = re.compile(r"(?i)\b(?:gpu|cuda|vram|hbm|device|limit)")
_UNITS = {"K": 1, "M": 1 << 10, "G": 1 << 20, "T": 1 << 30}
# How a job says how long it may take.
_TIME_SET = re.compile(r"(?:^|\s)(?:--time|-t)[= ]\d[\d:-]+\b|^#SBATCH .*--time=\d|\bwalltime=\d|\bbsub\b.* -W \d")
# How far a program is, of how much.
_DONE = re.compile(
    r"(?i)\b(?:iter(?:ation)?|step|epoch|batch)s?\W{1,12}(\d+) ?(?:/|of) *(\d+)\b|\|\s*(\d+)/(\d+) \["
)
_FEWEST, _TIMES_MORE = 3, 1.5


def explained(diagnosis: Diagnosis, tail: Tail, root: str) -> Diagnosis:
    """``diagnosis`` with what a log that ends with ``tail`` says of why a limit was reached."""
    if diagnosis.blame is not Blame.UNSURE:
        return diagnosis
    lines = tail.unfolded().lines
    if diagnosis.rule in _OF_MEMORY and (grown := _grown(lines)):
        sentence = f"the program grew until its limit ended it: from {grown[0]} to {grown[1]}"
        return replace(diagnosis, blame=Blame.CODE, sentence=sentence)
    if diagnosis.rule == _OF_TIME and any(map(_TIME_SET.search, lines)) and (done := _went_on(lines)):
        sentence = f"the time limit that the job had set itself ended it at work, at {done}"
        return replace(diagnosis, blame=Blame.CONFIG, sentence=sentence)
    return _with_stacks(diagnosis, tail, root) if diagnosis.rule in _TIME_OVER else diagnosis


def _with_stacks(diagnosis: Diagnosis, tail: Tail, root: str) -> Diagnosis:
    """With what the stacks that the log shows say of a program whose time was over, and where it stood."""
    if not (found := stood(tail)):
        return diagnosis
    blame, waited, at = found
    frame = deepest((Frame(at.file, at.line),), root)
    so_far = f"{diagnosis.sentence};" if waited == STOOD else "its time was over, and"
    sentence = f"{so_far} it {waited} in `{at.function}` ({frame or f'{at.file}:{at.line}'})"
    return Diagnosis(blame, diagnosis.rule, sentence, tail.at(at.shown), at.shown, frame)


def _grown(lines: Sequence[str]) -> tuple[str, str] | None:
    """The first and the last of what some memory is said to hold, if it never shrank and is far more."""
    held: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for line in lines:
        for name, number, unit in _HELD.findall("" if _OF_DEVICES.search(line) else line):
            held[name.lower()].append((float(number) * _UNITS[unit.upper()], f"{number} {unit}B"))
    for values in held.values():
        sizes = [size for size, _ in values]
        if len(set(sizes)) >= _FEWEST and sizes == sorted(sizes) and sizes[-1] >= _TIMES_MORE * sizes[0]:
            return values[0][1], values[-1][1]
    return None


def _went_on(lines: Sequence[str]) -> str:
    """How far a program was that went on to its end, and was not there."""
    found = [(int(one[1] or one[3]), int(one[2] or one[4])) for line in lines if (one := _DONE.search(line))]
    numbers = [done for done, _ in found]
    if len(set(numbers)) < _FEWEST or numbers != sorted(numbers) or found[-1][0] >= found[-1][1]:
        return ""
    return "{} of {}".format(*found[-1])
