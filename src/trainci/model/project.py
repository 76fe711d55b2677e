"""What ``trainci.toml`` says: suites, the workflow, rules. Durations are seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from trainci.model.diagnosis import LogRule
from trainci.model.tests import Declarations, Entry, Settings, settle


@dataclass(frozen=True)
class Suite(Settings):
    """A named group of tests that one label starts.

    ``all_tests`` suites hold every registered test, ``changed`` suites whatever a change touches. ``runs_on``,
    ``schedule`` (a cron line, empty for none) and ``devices`` are for its job of the workflow. ``runs_on_where`` is
    the place of its ``runs_on``, empty where nobody wrote one.

    ``include`` are suites by name whose tests it has, too, without those that ``exclude`` (globs of files, or ids)
    names. What a push brings starts it only where a changed file matches ``paths`` (any, if empty) and not
    ``paths_ignore``; ``branches`` are globs of the branches that pull requests and pushes are for; without
    ``drafts`` no draft starts it. ``job`` is the id of its job, empty for one made of its name; its tests are
    spread over ``shards`` jobs (None: one each), or with ``pack`` all in one: of GitHub's, or of Slurm's.
    ``comment``: its verdicts stand in the one comment of the pull request. ``globs`` are those of its entries, each
    with its place.
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
    job: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    paths_ignore: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    drafts: bool = True
    shards: int | None = None
    pack: bool = False
    comment: bool = False
    globs: tuple[tuple[str, str], ...] = ()


# Only these names are certain to be GitHub's own machines, each thrown away after one job.
_HOSTED = re.compile(r"ubuntu-(latest|slim|\d\d\.\d\d)(-arm)?")


def is_hosted(runs_on: Iterable[str]) -> bool:
    """Whether a job runs on a machine of GitHub's that no later job sees; what is not certain counts as yours."""
    labels = tuple(runs_on)
    return bool(labels) and all(_HOSTED.fullmatch(label) for label in labels)


def job_ids(suite: str, changed: bool, job: str = "") -> tuple[str, ...]:
    """The ids of a suite's jobs at GitHub: its tests, what sums them up, and what finds out the changed ones."""
    tests = job or f"e2e-test-{suite}"
    return (tests, f"{tests}-result", *([f"{tests}-detect"] if changed else []))


@dataclass(frozen=True)
class Workflow:
    """What only the generated workflow needs to know.

    ``trainci`` is the requirement that pip installs in each job (empty: that of the trainci that writes it),
    ``lock_dir`` the lease directory of the hosts, ``mounts`` what else a container sees of its host
    (``/host:/container``); ``queue`` is in seconds.
    """

    trainci: str = ""
    lock_dir: str = "/dev/shm/trainci"
    mounts: tuple[str, ...] = ()
    container_options: str = ""
    queue: float = 7200.0


@dataclass(frozen=True)
class PathRule:
    """What a change of ``paths`` (globs) reaches beyond what is found: suites by name, or tests by glob or id.

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


# Of a Ray dashboard on this host, as Ray's own default is.
RAY_ADDRESS = "http://127.0.0.1:8265"


@dataclass(frozen=True)
class Slurm:
    """How jobs are submitted to Slurm: empty where its own default is meant.

    ``gres`` is its name for GPUs, ``setup`` are lines of bash before a test, ``container`` the words before its
    command that put it into a container (``{image}`` is the image of the test). ``in_flight`` is how many jobs may
    be submitted and not over; one that has not started after ``queue`` seconds never will.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    gres: str = "gpu"
    setup: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    in_flight: int = 200
    queue: float = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Quarantined:
    """A test (an id, or a file with all its variants) that is known to be bad: it runs, and fails no run before the
    day ``until`` (2026-12-31) is over. ``where`` is the place of the entry (``trainci.toml:14``).
    """

    test: str
    owner: str
    reason: str
    until: str
    ticket: str = ""
    where: str = ""

    def covers(self, test_id: str) -> bool:
        """Whether it is about this test."""
        return self.test in (test_id, test_id.partition("[")[0])


@dataclass(frozen=True)
class Accepted:
    """A finding that `check` takes as it is: its code, the file (a glob) or the id that it is about, and why.

    ``where`` is its place (``trainci.toml:14``).
    """

    code: str
    path: str
    reason: str
    where: str = ""


@dataclass(frozen=True)
class Trigger:
    """An event of GitHub, reduced to what decides which suites run.

    ``label`` is the one that was just added, ``labels`` all that the pull request carries. ``fork``: the code comes
    from another repository. ``ref`` is the full ref of a push, ``cron`` the schedule that fired, ``choice`` the
    suite that somebody asked for by hand. ``branch`` is the full ref of the branch that a pull request, a push or a
    queue is for; ``changed`` are the files that differ, None where nobody looked.
    """

    name: str
    action: str = ""
    label: str = ""
    labels: tuple[str, ...] = ()
    fork: bool = False
    ref: str = ""
    cron: str = ""
    choice: str = ""
    branch: str = ""
    draft: bool = False
    changed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Retention:
    """How long the logs of runs are kept, in seconds, and how many bytes of them."""

    seconds: float = 30 * 24 * 3600.0
    size: float = 20e9


@dataclass(frozen=True)
class Project(Settings):
    """What ``trainci.toml`` says, with every default filled in.

    ``registers`` are the functions that a test file calls to name its suite.
    ``artifacts`` is where logs and reports are sent, empty for nowhere.
    ``history`` is the URL of one that several hosts share, empty for the repository's own.
    ``max_changed`` is how many tests one changed file may select through others; None for any number.
    ``ray_address`` is that of a Ray cluster's dashboard.
    ``state_dir`` is where runs and the history are kept, empty for a folder of the repository.
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
    accepted: tuple[Accepted, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    slurm: Slurm = field(default_factory=Slurm)
    ray_address: str = RAY_ADDRESS
    state_dir: str = ""
    retention: Retention = field(default_factory=Retention)
    history: str = ""
    artifacts: str = ""

    @property
    def registered_entries(self) -> tuple[Entry, ...]:
        """Every entry of every suite, in the order of the file."""
        return tuple(entry for suite in self.suites for entry in suite.entries)

    @property
    def started_files(self) -> frozenset[str]:
        """The files, and folders of tests, that entries start."""
        return frozenset(file for entry in self.registered_entries for file in entry.files)

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
    file = Settings(num_gpus=says.num_gpus, num_nodes=says.num_nodes, metrics=says.metrics)
    return settle([entry, file, *([suite] if suite else []), project, Settings(python=python)])
