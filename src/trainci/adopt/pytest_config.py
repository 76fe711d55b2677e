"""The configuration of pytest: where its tests are, what their files are called, which markers set some apart.

Order and names: https://docs.pytest.org/en/stable/reference/customize.html
"""

from __future__ import annotations

import configparser
import posixpath
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trainci.adopt.proposal import Entry, Found, Note, Place, Suite
from trainci.adopt.tree import Tree
from trainci.toml_lines import toml_lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_INI = {"pytest.ini": "pytest", ".pytest.ini": "pytest", "tox.ini": "pytest", "setup.cfg": "tool:pytest"}
_PYPROJECT = "pyproject.toml"
_USUAL_FILES = ("test_*.py",)


@dataclass(frozen=True)
class _Settings:
    place: Place
    testpaths: tuple[str, ...] = ()
    python_files: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    fault: str = ""


def read(tree: Tree) -> Found:
    """Globs from ``testpaths`` and ``python_files``, and a suite of all that pytest finds."""
    settings = _settings(tree)
    if settings is None:
        return Found()
    if settings.fault:
        return Found(notes=(Note(settings.fault, settings.place),))
    folders = [path for path in settings.testpaths if tree.is_folder(path)]
    if not folders:
        return Found()
    globs = [_glob(folder, name) for folder in folders for name in settings.python_files or _USUAL_FILES]
    tests = tuple(Entry(path=folder, runner="pytest", place=settings.place) for folder in folders)
    markers = ", ".join(settings.markers)
    text = f'pytest knows the markers {markers}; `args = ["-m", "not …"]` of an entry chooses'
    notes = (Note(text, settings.place, left=False),) if markers else ()
    suite = Suite(name="pytest", tests=tests, place=settings.place, notes=notes)
    return Found((suite,), (), tuple(globs))


def test_paths(tree: Tree) -> tuple[str, ...]:
    """``testpaths``, where ``pytest`` looks that is told no path."""
    settings = _settings(tree)
    return tuple(path for path in settings.testpaths if tree.is_folder(path)) if settings else ()


def _settings(tree: Tree) -> _Settings | None:
    """The first file that configures pytest, as pytest itself looks for it."""
    for file in ("pytest.ini", ".pytest.ini", _PYPROJECT, "tox.ini", "setup.cfg"):
        if not tree.is_file(file):
            continue
        made = _from_pyproject(tree.read(file)) if file == _PYPROJECT else _from_ini(file, tree.read(file))
        if made is not None:
            return made
    return None


def _from_pyproject(text: str) -> _Settings | None:
    if "pytest" not in text:
        return None
    path = ("tool", "pytest", "ini_options")
    try:
        table = tomllib.loads(text)
        lines = toml_lines(text)
    except (ValueError, RecursionError) as error:
        return _Settings(Place(_PYPROJECT, 1), fault=f"is no TOML: {error}")
    for key in path:
        inner = table.get(key)
        if not isinstance(inner, dict):
            return None
        table = inner
    return _made(Place(_PYPROJECT, lines.get(path, 1)), table)


def _from_ini(file: str, text: str) -> _Settings | None:
    section = _INI[file]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        return _Settings(Place(file, 1), fault=f"does not parse: {str(error).splitlines()[0]}")
    if not parser.has_section(section):
        return None
    line = next((number for number, one in enumerate(text.splitlines(), 1) if one.strip() == f"[{section}]"), 1)
    return _made(Place(file, line), dict(parser.items(section)))


def _made(place: Place, table: Mapping[str, object]) -> _Settings:
    markers = (line.split(":")[0].split("(")[0].strip() for line in _words(table.get("markers"), by_line=True))
    return _Settings(
        place,
        tuple(posixpath.normpath(path) for path in _words(table.get("testpaths"))),
        tuple(_words(table.get("python_files"))),
        tuple(marker for marker in markers if marker),
    )


def _words(value: object, *, by_line: bool = False) -> Iterator[str]:
    if isinstance(value, str):
        try:
            yield from value.splitlines() if by_line else shlex.split(value)
        except ValueError:
            yield from value.split()
    elif isinstance(value, list):
        yield from (text for text in value if isinstance(text, str))


def _glob(folder: str, name: str) -> str:
    path = f"{folder}/**/{name}" if folder != "." else f"**/{name}"
    return path if path.endswith(".py") else f"{path}.py"
