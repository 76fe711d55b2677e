"""What made an attempt end as it did: the facts that are known, the rules for logs, and what follows from both."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trainci.model.seen import Seen

# The rule for an ending of which nothing tells why: its evidence is a fact, or what was printed last.
EXIT_CODE = "exit-code"
# That for one of which no other rule knows more than the program's own words.
LAST_WORDS = "last-words"


class Blame(enum.Enum):
    """Whose fault it was. The value is the word that reports and the event log use.

    ``UNSURE``: two readings stand, and the sentence of the diagnosis says both.
    """

    CODE = "code"
    MACHINE = "machine"
    CONFIG = "config"
    UNSURE = "unsure"


class Kind(enum.Enum):
    """Whether a line tells of a cause, or of what follows from another one."""

    CAUSE = "cause"
    CONSEQUENCE = "consequence"


@dataclass(frozen=True)
class LogRule:
    """What a line of a log means.

    ``patterns`` are regular expressions, of which one is found in a line that ``unless`` does not fit. ``within``:
    the rule is about exceptions only that pass through one of these libraries. ``meaning`` is a sentence without an
    end. The ``blame`` of a consequence holds where no cause is found.
    """

    name: str
    patterns: tuple[str, ...]
    meaning: str
    blame: Blame
    kind: Kind = Kind.CAUSE
    unless: str = ""
    within: tuple[str, ...] = ()
    source: str = ""
    example: str = ""


@dataclass(frozen=True)
class Facts(Seen):
    """What is known of an ending beside its log, with how its process ended.

    ``hung``: it showed no progress and was ended for it. ``own_fault_code``: the command ends by
    ``trainci.testing.main``, to which exit code 3 is the machine's fault.
    """

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool | None = None
    hung: bool | None = None
    own_fault_code: bool | None = None


@dataclass(frozen=True)
class Frame:
    """A place in a program. ``file`` is relative to the repository's root where it lies below it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Diagnosis:
    """Whose fault an ending was, by which rule, and the evidence: a line of the log, or a fact in words.

    ``line`` is the evidence's place in the log, counted from 1, and 0 where no line decided. ``frame`` is the
    deepest place in the repository that an exception passed through, None where none is known.
    """

    blame: Blame
    rule: str
    sentence: str
    evidence: str = ""
    line: int = 0
    frame: Frame | None = None
