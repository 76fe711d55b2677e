"""Which tests a command of pytest's runs, and with which arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from trainci.adopt.proposal import Entry
from trainci.adopt.shell.launchers import joined
from trainci.adopt.shell.script import Command
from trainci.adopt.tree import Tree
from trainci.globs import is_glob

# Options of pytest (and its usual plugins) whose value is the next word.
# fmt: off
_PYTEST_VALUES = {
    "-m", "-k", "-n", "-o", "-p", "-c", "-W", "-r", "--ignore", "--ignore-glob", "--deselect", "--maxfail",
    "--rootdir", "--confcutdir", "--durations", "--durations-min", "--tb", "--show-capture", "--capture", "--color",
    "--code-highlight", "--pythonwarnings", "--verbosity", "--basetemp", "--import-mode", "--override-ini",
    "--config-file", "--junitxml", "--junit-xml", "--junit-prefix", "--doctest-glob", "--doctest-report",
    "--log-level", "--log-format", "--log-date-format", "--log-cli-level", "--log-cli-format", "--log-file",
    "--log-file-level", "--log-file-format", "--log-disable", "--lfnf", "--last-failed-no-failures", "--pdbcls",
    "--timeout", "--timeout-method", "--session-timeout", "--reruns", "--reruns-delay", "--only-rerun",
    "--cov", "--cov-report", "--cov-config", "--cov-context", "--cov-fail-under", "--report-log", "--html",
    "--alluredir", "--json-report-file", "--numprocesses", "--dist", "--maxprocesses", "--max-worker-restart",
    "--maxschedchunk", "--tx", "--splits", "--group", "--splitting-algorithm", "--durations-path", "--shard-id",
    "--num-shards", "--count", "--repeat-scope", "--random-order-bucket", "--random-order-seed",
    "--hypothesis-seed", "--hypothesis-profile",
}
# fmt: on
# Where a plugin of pytest's writes what it found; no test depends on it.
_REPORT = re.compile(
    r"\s--(?:alluredir|junit-?xml|html|report-log|json-report-file|csv|ctrf|cov-report)=[^\s$]*\$\{\{.*?\}\}\S*"
)


# What coverage measures of the tests.
_MEASURED = re.compile(
    r"^(?:python3?\s+-m\s+)?coverage\s+run\s(?:(?!\s-m\s)[^;&|])*\$\{\{(?:(?!\s-m\s).)*\s-m\s+pytest\b"
)


def without_reports(command: Command) -> Command:
    """The command without what says where reports go or what is measured, where only a run knows that."""
    measured = _MEASURED.sub("python -m pytest", command.raw)
    raw = _REPORT.sub("", measured)
    if raw == command.raw:
        return command
    words = tuple(word for word in command.words if not _REPORT.match(f" {word}"))
    if measured != command.raw:
        words = ("python", "-m", *words[words.index("pytest") :])
    return replace(command, words=words, raw=raw, open=command.open if "$" in raw else ())


def pytest_entries(
    base: Entry, rest: tuple[str, ...], command: Command, tree: Tree, testpaths: Sequence[str]
) -> Iterator[Entry]:
    """``base`` for each path among ``rest``, the words behind ``pytest``; for what it collects where none is."""
    paths: list[str] = []
    args: list[str] = []
    position = 0
    while position < len(rest):
        word = rest[position]
        file = joined(command.folder, word.partition("::")[0])
        if word in _PYTEST_VALUES:
            args += rest[position : position + 2]
            position += 1
        elif not word.startswith("-") and (is_there(file, tree) or "/" in word or word.endswith((".py", "\ue001"))):
            paths.append(file + word[len(word.partition("::")[0]) :])
        else:
            args.append(word)
        position += 1
    paths = [filled for path in paths for filled in _filled(path, tree)]
    for path in paths or [joined(command.folder, path) for path in testpaths] or [command.folder or "."]:
        yield replace(base, path=path, runner="pytest", args=tuple(args))


def _filled(path: str, tree: Tree) -> tuple[str, ...]:
    """The path; of a glob that folders match, which is none of trainci's, all that a shell fills in for it."""
    if path.endswith("/*") and not is_glob(path[:-2]):
        return (path[:-2],)
    found = tree.globbed(path) if is_glob(path) and "::" not in path else ()
    return found if any(map(tree.is_folder, found)) else (path,)


def is_there(path: str, tree: Tree) -> bool:
    """Whether a file, a folder or a node id of it, or anything that a glob matches, is in the repository."""
    file = path.partition("::")[0]
    if file == "." or tree.is_file(file) or tree.is_folder(file):
        return True
    return is_glob(file) and bool(tree.globbed(file))
