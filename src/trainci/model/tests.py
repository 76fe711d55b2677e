"""A test: as it is registered, what its file says, and as it is run. Durations are seconds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

from trainci.model.gates import Gate
from trainci.text import printable


def _word(argument: str) -> str:
    """``argument`` as a shell takes it; one that reads like ``NAME=value`` is quoted to tell it from a variable."""
    quoted = shlex.quote(argument)
    if quoted == argument and argument.partition("=")[0].isidentifier() and "=" in argument:
        return f"'{argument}'"
    return quoted


def as_id(name: str) -> str:
    """``name`` as an id shows it. The backslash doubles, or a line break and the characters `\\n` look alike."""
    return printable(name.replace("\\", "\\\\"))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a project, a suite and an entry may each say of their tests; ``settle`` makes one of several.

    ``timeout`` and ``stall`` are seconds, ``num_gpus`` is of each node; None or empty is where nothing is said.
    ``machine_retries`` is how often the machine's fault is tried again, ``retries`` how often anything else is.
    ``python`` are the words of the interpreter or its launcher. ``install``, ``setup``, ``python_version`` and
    ``secrets`` (names) are for the job. ``executor`` is the name of what runs them. ``metrics`` are gated.
    """

    env: tuple[tuple[str, str], ...] = ()
    install: str = ""
    setup: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    python_version: str = ""
    secrets: tuple[str, ...] = ()
    timeout: float | None = None
    stall: float | None = None
    num_gpus: int | None = None
    num_nodes: int | None = None
    retries: int | None = None
    machine_retries: int | None = None
    fail_on_flaky: bool | None = None
    executor: str = ""
    metrics: tuple[Gate, ...] = ()


def settle(inner_first: Sequence[Settings]) -> Settings:
    """The settings of a test: of each the innermost that says it. Variables, secrets and metrics add up."""
    said = {
        name: next((value for s in inner_first if (value := getattr(s, name)) not in (None, "", ())), None)
        for name in (item.name for item in fields(Settings))
    }
    env = {name: value for settings in reversed(inner_first) for name, value in settings.env}
    secrets = dict.fromkeys(name for settings in reversed(inner_first) for name in settings.secrets)
    metrics = {gate.metric: gate for settings in reversed(inner_first) for gate in settings.metrics}
    said |= {"env": tuple(sorted(env.items())), "secrets": tuple(secrets), "metrics": tuple(metrics.values())}
    return Settings(**{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True)
class Entry(Settings):
    """A test as it is registered: what it starts, and what this variant of it adds.

    It starts ``file`` (a POSIX path relative to the project's root, of a file or a folder), in it the one test that
    ``node`` names (``::test_one``); or a ``module``; or the words of ``command``; or ``steps``, one after another.
    ``runner`` is the name of a test style, empty for the one that recognises the file. ``disabled`` is the reason
    why it is not run, ``expected`` how many seconds somebody thinks that it takes. ``name`` is its id, where it has
    one of its own; ``by_num_gpus``: its number of devices is part of its id, as only that tells it from another
    entry. ``also`` are globs of files that it uses and nothing names. ``where`` is the place of the registration
    (``trainci.toml:14``), empty where there is none.
    """

    file: str = ""
    args: tuple[str, ...] = ()
    node: str = ""
    module: str = ""
    command: tuple[str, ...] = ()
    steps: tuple[Entry, ...] = ()
    runner: str = ""
    name: str = ""
    disabled: str = ""
    expected: float | None = None
    where: str = ""
    by_num_gpus: bool = False
    also: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """Printable and stable: its name, else what it starts, and in brackets what this variant is started with.

        ``tests/test_ckpt.py[--async-save]``, ``tests/test_moe.py[USE_FP8=1]``. Quoted as in a shell, so that
        ``["--lr 1"]`` and ``["--lr", "1"]`` are two tests.
        """
        if self.name:
            return printable(self.name)
        started = f"python -m {self.module}" if self.module else f"{self.file}{self.node}"
        variables = (f"{name}={shlex.quote(value)}" for name, value in sorted(self.env))
        devices = (f"num_gpus={self.num_gpus}",) if self.by_num_gpus else ()
        variant = " ".join([*devices, *variables, *map(_word, (*self.command, *self.args))])
        return as_id(f"{started}[{variant}]" if variant else started)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the repository that it starts, its steps' included."""
        return tuple(dict.fromkeys(part.file for part in (self, *self.steps) if part.file))


@dataclass(frozen=True)
class Expects:
    """Which failures inside of it a test deals with by itself, as its text says.

    ``failure``: it is right where something that it starts fails; ``again``: it starts a program again where that
    failed, perhaps with other arguments; ``texts`` are what it looks for in the output of others.
    """

    failure: bool = False
    again: bool = False
    texts: tuple[str, ...] = ()

    def __or__(self, other: Expects) -> Expects:
        return Expects(self.failure or other.failure, self.again or other.again, self.texts + other.texts)


@dataclass(frozen=True)
class Declarations:
    """What a test file says about itself, read without running it.

    ``num_gpus`` is None when the file declares none; ``line`` is where it does. ``requires_gpu``: virtual devices
    will not do; ``requires_gpu_line`` is where that stands. ``phased``: its ``__main__`` block is one call of
    ``trainci.testing.main``, so that its phases can be run one at a time. ``remarks`` say what is wrong though
    it can be run, each a line and a sentence; ``unread`` is the sentence why nobody looked for any. ``fault`` is
    one (``tests/test_x.py:3: …``) when the file cannot be read or declares something that is no constant;
    ``refusal`` is one when it must not be run, as its result would mean nothing; ``runs_nothing``: that is so as
    it holds no test and is no program. ``style`` names the test style that reads and starts it; ``needs_count``:
    tests of this style say how many devices they need.
    ``framework`` is ``pytest`` or ``unittest`` where the file, as a program, hands its tests to one of them;
    ``hands_over``: it does so whatever happens. ``may_turn_away``: that is all that it runs, and it may end without
    it. ``expects`` says which failures inside of it it deals with. ``metrics`` are gated.
    """

    num_gpus: int | None = None
    num_nodes: int | None = None
    line: int = 1
    requires_gpu: bool = False
    requires_gpu_line: int = 1
    phased: bool = False
    remarks: tuple[tuple[int, str], ...] = ()
    unread: str = ""
    fault: str = ""
    refusal: str = ""
    runs_nothing: bool = False
    style: str = "python"
    needs_count: bool = True
    framework: str = ""
    hands_over: bool = False
    may_turn_away: bool = False
    expects: Expects = Expects()
    metrics: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class Step:
    """One of the commands that a test runs one after another. For the last four see Test."""

    name: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    leaves_results: bool = False
    framework: str = ""
    hands_over: bool = False
    may_turn_away: bool = False


@dataclass(frozen=True)
class Test(Settings):
    """One runnable thing: an Entry with every default filled in. ``timeout`` is in seconds, and so is ``stall``:
    it has hung once it shows no progress for so long.

    ``command`` are the words that start it from the repository's root; no shell reads them. A test of several
    ``steps`` has none. ``leaves_results``: it is started by pytest, which can write what became of each item.
    ``phased``, ``requires_gpu``, ``framework``, ``hands_over``, ``may_turn_away`` and ``expects`` are
    those of its file's Declarations (of a step of it),
    ``disabled`` and ``expected`` those of its Entry. ``pack`` names the suite with whose other tests it shares what
    an engine allocates, empty for a test that has a job of its own.
    """

    id: str
    file: str = ""
    command: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    image: str = ""
    where: str = ""
    phased: bool = False
    requires_gpu: bool = False
    leaves_results: bool = False
    framework: str = ""
    hands_over: bool = False
    may_turn_away: bool = False
    expects: Expects = Expects()
    disabled: str = ""
    expected: float | None = None
    pack: str = ""
    num_gpus: int = field(default=0, kw_only=True)
    num_nodes: int = field(default=1, kw_only=True)
    timeout: float = field(default=3600.0, kw_only=True)
    stall: float = field(default=600.0, kw_only=True)
    retries: int = field(default=0, kw_only=True)
    fail_on_flaky: bool = field(default=False, kw_only=True)

    @property
    def all_gpus(self) -> int:
        """How many devices it holds on all of its nodes together."""
        return self.num_gpus * self.num_nodes

    @property
    def prepares_first(self) -> bool:
        """Its prepare phase is run by itself, before devices are taken for the other one."""
        return self.phased and self.num_gpus > 0
