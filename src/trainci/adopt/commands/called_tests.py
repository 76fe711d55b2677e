"""What is called a test: names of files and folders, and lines that run tests. Only names are looked at."""

from __future__ import annotations

import posixpath
import re

_TEST_FOLDERS = {"test", "tests", "testing", "ci_tests", "e2e"}
# Below those, what runs tests and is none.
_TOOL_FOLDERS = {"ci", "test_utils", "tools", "utils"}
# Whose failure is what it is for, wherever it stands.
_CHECKS = re.compile(r"(?:check|validate|verify)[_-]")
_TEST_NAME = re.compile(
    r"(?:unit)?test_.+\.(?:py|sh)|.+_test\.(?:py|sh)|run[_-](?:\w+[_-])?tests?\.(?:py|sh)"
    r"|(?:unit)?tests?(?:-.+)?\.sh|.+-(?:unit)?tests?\.sh"
)
PREPARES = re.compile(
    r"prepar|preprocess|download|install|set ?up|convert|build(?!kite)|dataset|check out|checkout", re.I
)
# What the name of a script begins with that makes something for tests, and is none.
_MAKES = re.compile(r"(?:fetch|upload|select)[_.-]", re.I)
# A line of a script that starts tests.
STARTS_TESTS = re.compile(
    r"^\s*(?:[A-Z_]+=\S+\s+)*(?:(?:uv|poetry|coverage) run\s+)?(?:torchrun\s+(?:-\S+\s+)*)?"
    r"(?:python3? -m )?(?:pytest|unittest)\b"
    r"|^\s*(?:[A-Z_]+=\S+\s+)*(?:torchrun|python3?|bash)\s(?:[^\n]*\btests?/|-m\s(?:\w+\.)*tests\.)",
    re.MULTILINE,
)
# A command that runs tests, wherever it stands: what no reader here knows is said to be left, never lost.
_SPEAKS_OF_TESTS = re.compile(
    r"(?:^|[\s;&|(\[\"'`]|--\s)(?:\S*/)?(?:pytest|py\.test|ctest|tox|nox)(?=\s|$|[;&|)\"'`])"
    r"|-m\s+(?:pytest|unittest|(?:\w+\.)*tests?\.(?!(?:ci|tools|utils)\.)\w+)\b"
    r"|\btorch(?:run|\.distributed)\b.*\btests?/"
    r"|(?:^|[\s;&|(])(?:cargo(?: \+\S+)? (?:nextest run|test)|go test|(?:npm|pnpm|yarn)(?: run)? test|bazel test)\b"
    r"|(?:^|[\s;&|(])make\s(?:[^;&|\n]*\s)?(?:[\w.-]*[_.-])?(?:unit|doc)?test"
)
_SCRIPT = re.compile(r"\b(?:bash|sh|python[\d.]*)\s+(?:\./)?(\S+\.(?:py|sh))\b")
_NO_TEST = re.compile(
    r"^\s*(?:#|echo\b|(?:sudo\s+)?(?:rm|mkdir|ls|cp|mv|ln|chmod|chown)\s[^;&|]*$)"
    r"|\binstall\b|--version\b|\b(?:which|command -v)\s"
)


def speaks_of_tests(script: str) -> bool:
    """Whether a line of the script runs tests, by whatever means."""
    parts = re.split(r"\n|&&", re.sub(r"\\\n\s*", " ", script))
    lines = [line for line in parts if not _NO_TEST.search(line)]
    return any(_SPEAKS_OF_TESTS.search(line) or any(map(is_test_file, _SCRIPT.findall(line))) for line in lines)


def is_test_file(path: str) -> bool:
    """Whether the file of that path is called a test."""
    name = posixpath.basename(path)
    is_meant = in_tests(path) or name.endswith(("_tests.py", "_tests.sh"))
    prepares = PREPARES.search(posixpath.dirname(path)) or is_called_preparation(name)
    return path.endswith((".py", ".sh")) and bool(_TEST_NAME.fullmatch(name) or (is_meant and not prepares))


def is_called_preparation(name: str) -> bool:
    """Whether its first two words or its last say so: ``studio_model_download_webdriver`` drives what downloads."""
    if _MAKES.match(name):
        return True
    first, second, *others = f"{posixpath.splitext(name)[0]}__".replace("-", "_").split("_")
    return any(PREPARES.match(word) for word in (first, second, *[word for word in others if word][-1:]))


def in_tests(path: str) -> bool:
    """Whether it stands below a folder of tests, and is no tool of theirs."""
    folders = path.split("/")[:-1]
    is_tool = not _TOOL_FOLDERS.isdisjoint(folders) and not _CHECKS.match(posixpath.basename(path))
    return not _TEST_FOLDERS.isdisjoint(folders) and not is_tool
