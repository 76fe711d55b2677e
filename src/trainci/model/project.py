"""What a repository says: its suites and tests, and what is selected of them. Durations are seconds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from trainci.model.diagnosis import LogRule
from trainci.text import printable


def _word(argument: str) -> str:
    """``argument`` as a shell takes it; one that reads like ``NAME=value`` is quoted to tell it from a variable."""
    quoted = shlex.quote(argument)
    if quoted == argument and argument.partition("=")[0].isidentifier() and "=" in argument:
        return f"'{argument}'"
    return quoted


@dataclass(frozen=True)
class Entry:
    """A test as it is registered: a file, and what this variant of it adds.

    ``file`` is a POSIX path relative to the project's root. ``num_gpus`` and ``timeout`` are None where the
    entry leaves them to the file and the suite. ``where`` is the place of the registration
    (``trainci.toml:14``), empty for a file that is not registered.
    """

    file: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    num_gpus: int | None = None
    timeout: float | None = None
    where: str = ""

    @property
    def id(self) -> str:
        """Printable and stable: the file, then what distinguishes this variant of it in brackets.

        ``tests/test_ckpt.py[--async-save]``, ``tests/test_moe.py[USE_FP8=1]``. Quoted as in a shell, so that
        ``["--lr 1"]`` and ``["--lr", "1"]`` are two tests.
        """
        override = () if self.num_gpus is None else (f"num_gpus={self.num_gpus}",)
        variables = (f"{name}={shlex.quote(value)}" for name, value in self.env)
        variant = " ".join([*override, *variables, *map(_word, self.args)])
        # The backslash first, or a line break in a name and the two characters `\\n` would look alike.
        return printable((f"{self.file}[{variant}]" if variant else self.file).replace("\\", "\\\\"))


@dataclass(frozen=True)
class Declarations:
    """What a test file says about itself, read without running it.

    ``num_gpus`` is None when the file declares none; ``line`` is where it does. ``requires_gpu``: virtual devices
    will not do; ``requires_gpu_line`` is where that stands. ``phased``: its ``__main__`` block is one call of
    ``trainci.testing.main``, so that its phases can be run one at a time. ``remarks`` say what is wrong though
    it can be run, each a line and a sentence. ``fault`` is one sentence (``tests/test_x.py:3: …``) when the file
    cannot be read or declares something that is no constant. ``style`` names the test style that reads
    and starts it.
    """

    num_gpus: int | None = None
    line: int = 1
    requires_gpu: bool = False
    requires_gpu_line: int = 1
    phased: bool = False
    remarks: tuple[tuple[int, str], ...] = ()
    fault: str = ""
    style: str = "python"


@dataclass(frozen=True)
class Test:
    """One runnable thing: an Entry with every default filled in. ``timeout`` is in seconds.

    ``command`` are the words that start it from the repository's root; no shell reads them. ``phased`` and
    ``requires_gpu`` are those of its file's Declarations.
    """

    id: str
    file: str
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    num_gpus: int = 0
    timeout: float = 3600.0
    image: str = ""
    where: str = ""
    phased: bool = False
    requires_gpu: bool = False

    @property
    def prepares_first(self) -> bool:
        """Its prepare phase is run by itself, before devices are taken for the other one."""
        return self.phased and self.num_gpus > 0


@dataclass(frozen=True)
class Suite:
    """A named group of tests that one label starts.

    ``all_tests`` suites hold every registered test, ``changed`` suites whatever a change touches. ``runs_on``,
    ``schedule`` (a cron line, empty for none), ``secrets`` (names) and ``devices`` are for its job of the workflow.
    """

    name: str
    label: str
    description: str = ""
    entries: tuple[Entry, ...] = ()
    all_tests: bool = False
    changed: bool = False
    always: bool = False
    image: str = ""
    timeout: float | None = None
    where: str = ""
    runs_on: tuple[str, ...] = ("self-hosted",)
    schedule: str = ""
    secrets: tuple[str, ...] = ()
    devices: str = "auto"


@dataclass(frozen=True)
class Workflow:
    """What only the generated workflow needs to know.

    ``trainci`` is the requirement that pip installs in each job, ``lock_dir`` the lease directory of the hosts,
    ``mounts`` what else a container sees of its host (``/host:/container``); ``queue`` is in seconds.
    """

    trainci: str = "trainci"
    lock_dir: str = "/dev/shm/trainci"
    mounts: tuple[str, ...] = ()
    container_options: str = ""
    queue: float = 7200.0


@dataclass(frozen=True)
class Verdicts:
    """How endings are judged: rules for logs beside trainci's own, names of those that are ``off``.

    ``retries`` is how often the machine's fault is tried again.
    """

    rules: tuple[LogRule, ...] = ()
    off: tuple[str, ...] = ()
    retries: int = 1


@dataclass(frozen=True)
class Trigger:
    """An event of GitHub, reduced to what decides which suites run.

    ``label`` is the one that was just added, ``labels`` all that the pull request carries. ``fork``: the code comes
    from another repository. ``ref`` is the full ref of a push, ``cron`` the schedule that fired, ``choice`` the
    suite that somebody asked for by hand.
    """

    name: str
    action: str = ""
    label: str = ""
    labels: tuple[str, ...] = ()
    fork: bool = False
    ref: str = ""
    cron: str = ""
    choice: str = ""


@dataclass(frozen=True)
class Project:
    """What ``trainci.toml`` says, with every default filled in. ``timeout`` is in seconds."""

    test_globs: tuple[str, ...]
    base: str
    default_gpus: int
    max_gpus: int
    timeout: float
    image: str
    install: str
    suites: tuple[Suite, ...]
    config_file: str = "trainci.toml"
    workflow: Workflow = field(default_factory=Workflow)
    verdicts: Verdicts = field(default_factory=Verdicts)

    @property
    def registered(self) -> tuple[Entry, ...]:
        """Every entry of every suite, each id once, in the order of the file."""
        first: dict[str, Entry] = {}
        for suite in self.suites:
            for entry in suite.entries:
                first.setdefault(entry.id, entry)
        return tuple(first.values())

    def num_gpus(self, entry: Entry, says: Declarations) -> int:
        """How many devices ``entry`` takes: what it says itself, else its file, else the default."""
        return next((n for n in (entry.num_gpus, says.num_gpus) if n is not None), self.default_gpus)


@dataclass(frozen=True)
class Selected:
    """A test and why it was selected, in words that are shown to the user."""

    test: Test
    reason: str


@dataclass(frozen=True)
class Refused:
    """A selected entry that cannot be run, and one sentence that says why and what to do."""

    test_id: str
    sentence: str


@dataclass(frozen=True)
class Selection:
    """The tests of a run, each id once, in the order in which they were asked for.

    ``note`` explains an empty selection.
    """

    tests: tuple[Selected, ...] = ()
    refused: tuple[Refused, ...] = ()
    note: str = ""

    @property
    def is_empty(self) -> bool:
        """Nothing was selected, not even to be refused."""
        return not (self.tests or self.refused)


@dataclass(frozen=True)
class Change:
    """One changed file. ``status`` is git's letter; ``old_path`` is set for renames (R) and copies (C)."""

    status: str
    path: str
    old_path: str = ""
