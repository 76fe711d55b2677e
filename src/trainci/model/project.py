"""What a repository says: its suites and tests, and what is selected of them. Durations are seconds."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from trainci.model.diagnosis import LogRule
from trainci.text import printable


def _word(argument: str) -> str:
    """``argument`` as a shell takes it; one that reads like ``NAME=value`` is quoted to tell it from a variable."""
    quoted = shlex.quote(argument)
    if quoted == argument and argument.partition("=")[0].isidentifier() and "=" in argument:
        return f"'{argument}'"
    return quoted


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a project, a suite and an entry may each say of their tests; ``settle`` makes one of several.

    ``timeout`` (seconds), ``num_gpus`` and ``retries`` are None, the others empty, where nothing is said.
    ``python`` are the words of the interpreter or its launcher. ``install``, ``setup``, ``python_version``
    and ``secrets`` (names) are for the job.
    """

    env: tuple[tuple[str, str], ...] = ()
    install: str = ""
    setup: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    python_version: str = ""
    secrets: tuple[str, ...] = ()
    timeout: float | None = None
    num_gpus: int | None = None
    retries: int | None = None


def settle(inner_first: Sequence[Settings]) -> Settings:
    """The settings of a test: of each the innermost that says it. Variables and secrets add up."""
    said = {
        name: next((value for s in inner_first if (value := getattr(s, name)) not in (None, "", ())), None)
        for name in (item.name for item in fields(Settings))
    }
    env = {name: value for settings in reversed(inner_first) for name, value in settings.env}
    secrets = dict.fromkeys(name for settings in reversed(inner_first) for name in settings.secrets)
    said |= {"env": tuple(sorted(env.items())), "secrets": tuple(secrets)}
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

    @property
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
        # The backslash first, or a line break in a name and the two characters `\\n` would look alike.
        return printable((f"{started}[{variant}]" if variant else started).replace("\\", "\\\\"))

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the repository that it starts, its steps' included."""
        return tuple(dict.fromkeys(part.file for part in (self, *self.steps) if part.file))


@dataclass(frozen=True)
class Declarations:
    """What a test file says about itself, read without running it.

    ``num_gpus`` is None when the file declares none; ``line`` is where it does. ``requires_gpu``: virtual devices
    will not do; ``requires_gpu_line`` is where that stands. ``phased``: its ``__main__`` block is one call of
    ``trainci.testing.main``, so that its phases can be run one at a time. ``remarks`` say what is wrong though
    it can be run, each a line and a sentence. ``fault`` is one sentence (``tests/test_x.py:3: …``) when the file
    cannot be read or declares something that is no constant; ``refusal`` is one when it must not be run, as its
    result would mean nothing. ``style`` names the test style that reads and starts it; ``needs_count``: tests of
    this style say how many devices they need. ``framework`` is ``pytest`` or ``unittest`` where the file, as a
    program, hands its tests to one of them.
    """

    num_gpus: int | None = None
    line: int = 1
    requires_gpu: bool = False
    requires_gpu_line: int = 1
    phased: bool = False
    remarks: tuple[tuple[int, str], ...] = ()
    fault: str = ""
    refusal: str = ""
    style: str = "python"
    needs_count: bool = True
    framework: str = ""


@dataclass(frozen=True)
class Step:
    """One of the commands that a test runs one after another. ``leaves_results``, ``framework``: see Test."""

    name: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    leaves_results: bool = False
    framework: str = ""


@dataclass(frozen=True)
class Test(Settings):
    """One runnable thing: an Entry with every default filled in. ``timeout`` is in seconds.

    ``command`` are the words that start it from the repository's root; no shell reads them. A test of several
    ``steps`` has none. ``leaves_results``: it is started by pytest, which can write what became of each item.
    ``phased``, ``requires_gpu`` and ``framework`` are those of its file's Declarations, ``disabled`` and
    ``expected`` are those of its Entry.
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
    disabled: str = ""
    expected: float | None = None
    num_gpus: int = field(default=0, kw_only=True)
    timeout: float = field(default=3600.0, kw_only=True)
    retries: int = field(default=0, kw_only=True)

    @property
    def prepares_first(self) -> bool:
        """Its prepare phase is run by itself, before devices are taken for the other one."""
        return self.phased and self.num_gpus > 0


@dataclass(frozen=True)
class Suite(Settings):
    """A named group of tests that one label starts.

    ``all_tests`` suites hold every registered test, ``changed`` suites whatever a change touches. ``runs_on``,
    ``schedule`` (a cron line, empty for none) and ``devices`` are for its job of the workflow. ``runs_on_where`` is
    the place of its ``runs_on``, empty where nobody wrote one.
    """

    name: str
    label: str
    description: str = ""
    entries: tuple[Entry, ...] = ()
    all_tests: bool = False
    changed: bool = False
    always: bool = False
    image: str = ""
    where: str = ""
    runs_on: tuple[str, ...] = ("self-hosted",)
    runs_on_where: str = ""
    schedule: str = ""
    devices: str = "auto"


def job_ids(suite: str, changed: bool) -> tuple[str, ...]:
    """The ids of a suite's jobs at GitHub: its tests, what sums them up, and what finds out the changed ones."""
    tests = f"e2e-test-{suite}"
    return (tests, f"{tests}-result", *([f"{tests}-detect"] if changed else []))


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
class PathRule:
    """What a change of ``paths`` (globs) reaches besides what is found: suites by name, or tests by glob or id.

    ``nothing``: it reaches nothing at all. ``where`` is its place (``trainci.toml:14``).
    """

    paths: tuple[str, ...]
    suites: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    nothing: bool = False
    where: str = ""


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
class Project(Settings):
    """What ``trainci.toml`` says, with every default filled in.

    ``registers`` are the functions that a test file calls to name its suite.
    ``max_changed`` is how many tests one changed file may select through others; None for any number.
    """

    test_globs: tuple[str, ...]
    base: str
    max_gpus: int
    image: str = ""
    suites: tuple[Suite, ...] = ()
    registers: tuple[str, ...] = ()
    config_file: str = "trainci.toml"
    workflow: Workflow = field(default_factory=Workflow)
    verdicts: Verdicts = field(default_factory=Verdicts)
    path_rules: tuple[PathRule, ...] = ()
    max_changed: int | None = None

    @property
    def registered_entries(self) -> tuple[Entry, ...]:
        """Every entry of every suite, in the order of the file."""
        return tuple(entry for suite in self.suites for entry in suite.entries)

    @property
    def registered(self) -> tuple[Entry, ...]:
        """Every entry of every suite, each id once, in the order of the file."""
        first: dict[str, Entry] = {}
        for entry in self.registered_entries:
            first.setdefault(entry.id, entry)
        return tuple(first.values())


def settings_of(
    project: Project, suite: Suite | None, entry: Entry, says: Declarations, python: tuple[str, ...] = ()
) -> Settings:
    """What the entry says, else its file, its suite, the project; ``num_gpus`` is None where none does."""
    file = Settings(num_gpus=says.num_gpus)
    return settle([entry, file, *([suite] if suite else []), project, Settings(python=python)])


@dataclass(frozen=True)
class Selected:
    """A test and why it was selected, in words that are shown to the user."""

    test: Test
    reason: str


@dataclass(frozen=True)
class Refused:
    """A selected entry that cannot be run, and one sentence that says why and what to do.

    ``has_job``: only running it is refused, so that it has a job in a workflow, which is red and says so.
    """

    test_id: str
    sentence: str
    has_job: bool = False


@dataclass(frozen=True)
class Selection:
    """The tests of a run, each id once, in the order in which they were asked for.

    ``note`` explains an empty selection. ``unseen`` are sentences about what a change does not reach, or what of it
    cannot be followed.
    """

    tests: tuple[Selected, ...] = ()
    refused: tuple[Refused, ...] = ()
    note: str = ""
    unseen: tuple[str, ...] = ()

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
