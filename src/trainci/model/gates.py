"""What a test says of its metrics, what they were, and what follows from both."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

HISTORY = "history"
LOG = "log"
KEYS = ("gate", "scale", "value", "absolute", "relative", "min", "max", "step")


@dataclass(frozen=True)
class Gate:
    """What a metric of a test must be, at a training step or (``step`` is None) where it was recorded last.

    ``low`` and ``high`` bound it, both of them allowed; where both are None its own history does, as a value or
    (``log``) as the logarithm of one that varies by factors.
    """

    metric: str
    step: int | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False

    @property
    def by_history(self) -> bool:
        """Whether earlier runs say what it must be."""
        return self.low is None and self.high is None


@dataclass(frozen=True)
class Measured:
    """What an attempt recorded of a metric that is gated; ``value`` is None where that is no finite number."""

    metric: str
    value: float | None
    step: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What a passed attempt of an earlier run measured.

    ``kind`` is that of the devices that it held, ``image`` its container's; ``on_base``: its commit was on the base
    branch. ``outcome`` is the word for what became of the test, ``at`` when its run began (Unix time).
    """

    run: str
    commit: str
    at: float
    attempt: int
    value: float | None
    step: int | None
    kind: str
    image: str
    on_base: bool
    outcome: str


@dataclass(frozen=True)
class Decision:
    """That somebody accepted the value of a run, or (``run`` is empty) reset a metric's baseline."""

    test_id: str
    metric: str
    run: str
    who: str
    reason: str
    at: float


@dataclass(frozen=True)
class Band:
    """From where to where a value is expected."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether it is within."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True)
class Trusted:
    """The values of one series that later ones are held to, the newest first, and the bands that follow.

    ``band`` holds 95 % of values like them, ``wide`` 99 %; both are None while there are too few. ``before`` is
    what was trusted until somebody accepted another value, as long as the bands have its spread for want of values.
    """

    values: tuple[float, ...] = ()
    band: Band | None = None
    wide: Band | None = None
    before: Trusted | None = None

    def usual(self, value: float) -> bool:
        """Whether a value is where 95 of 100 are, or were: the change that moved them may not be everywhere yet."""
        return any(one and one.band and one.band.holds(value) for one in (self, self.before))

    def possible(self, value: float) -> bool:
        """Whether it is where 99 of 100 are, or were."""
        return any(one and one.wide and one.wide.holds(value) for one in (self, self.before))


@dataclass(frozen=True)
class Baseline:
    """What is known of the metrics of a test that its history gates; ``base`` is the name of the base branch."""

    base: str = ""
    measured: Mapping[str, tuple[Measurement, ...]] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()


class Standing(enum.Enum):
    """How a value stands to its baseline. The value is the word that reports and the event log use.

    ``ODD``: outside of the band, though not with the two runs that were made for it.
    """

    WITHIN = "within"
    ODD = "odd"
    SUSPICIOUS = "suspicious"
    MOVED = "moved"
    NEW = "new series"
    TOO_FEW = "too few runs"


@dataclass(frozen=True)
class Judgement:
    """How a metric stands that its history gates: in ``values``, that of each passed attempt of this run.

    ``runs`` is how many trusted ones there are; ``kind`` and ``image`` say of which series. ``sentence`` says it.
    """

    metric: str
    standing: Standing
    sentence: str
    values: tuple[float, ...]
    step: int | None = None
    kind: str = ""
    image: str = ""
    runs: int = 0
    band: Band | None = None
    wide: Band | None = None


def gate_of(metric: object, said: object) -> Gate:
    """The gate that ``"history"``, a number (exactly that) or a table of KEYS says.

    :raises ValueError: it says none; the text is a sentence without an end.
    """
    if not isinstance(metric, str) or not metric or not metric.isprintable():
        raise ValueError("the name of a metric is a text that can be shown on one line")
    table = {"gate": said} if said == HISTORY else {"value": said} if _is_number(said) else said
    if not isinstance(table, Mapping):
        raise ValueError(f'{metric} is "{HISTORY}", a number, or a table of {", ".join(KEYS)}')
    unknown = [str(key) for key in table if key not in KEYS]
    if unknown:
        raise ValueError(f"{metric} has the unknown key {unknown[0]!a}; known are {', '.join(KEYS)}")
    step = table.get("step")
    if step is not None and (type(step) is not int or abs(step) >= 1 << 63):
        raise ValueError(f"the step of {metric} is a whole number")
    if ("gate" in table) + ("value" in table) + ("min" in table or "max" in table) != 1:
        raise ValueError(f'{metric} says one of gate = "{HISTORY}", value, and min or max')
    _check_company(metric, table)
    low, high = _bounds(table)
    if low is not None and high is not None and low > high:
        raise ValueError(f"{metric} lets no value pass: {low:g} is more than {high:g}")
    return Gate(metric, step, low, high, "scale" in table)


def _check_company(metric: str, table: Mapping[str, object]) -> None:
    """Keys that mean something only beside another one.

    :raises ValueError: that one is missing, or they exclude each other.
    """
    if table.get("gate", HISTORY) != HISTORY:
        raise ValueError(f'the gate of {metric} is "{HISTORY}"; other gates are value, min and max')
    if "scale" in table and "gate" not in table:
        raise ValueError(f"{metric} has a scale and is not gated by its history")
    if table.get("scale", LOG) != LOG:
        raise ValueError(f'the scale of {metric} is "{LOG}", or left out')
    away = [key for key in ("absolute", "relative") if key in table]
    if away and "value" not in table:
        raise ValueError(f"{metric} has {' and '.join(away)} of no value")
    if len(away) > 1:
        raise ValueError(f"{metric} says one of absolute and relative")


def _bounds(table: Mapping[str, object]) -> tuple[float | None, float | None]:
    """The least and the most that a table lets pass, None for no bound."""
    if "value" not in table:
        low, high = (_number(key, table[key]) if key in table else None for key in ("min", "max"))
        return low, high
    value = _number("value", table["value"])
    absolute, relative = (_number(key, table.get(key, 0)) for key in ("absolute", "relative"))
    away = absolute + relative * abs(value)
    if not math.isfinite(abs(value) + away):
        raise ValueError("value and how far it may be away are finite numbers")
    return value - away, value + away


def _is_number(said: object) -> bool:
    return isinstance(said, int | float) and not isinstance(said, bool)


def _number(key: str, said: object) -> float:
    if not _is_number(said):
        raise ValueError(f"{key} is a number")
    try:
        number = float(said)  # type: ignore[arg-type]
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{key} is a finite number")
    if key in ("absolute", "relative") and number < 0:
        raise ValueError(f"{key} is not negative")
    return number
