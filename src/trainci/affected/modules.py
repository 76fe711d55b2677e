"""Pure: where Python may look a module up among the files of a repository, and by which names."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Set
from functools import lru_cache

PROJECT_FILES = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})


class Modules:
    """The modules among ``paths``; ``stdlib`` are those of Python itself, ``tests`` what is run as a program."""

    def __init__(self, paths: Set[str], tests: Set[str], stdlib: Set[str]) -> None:
        self._tests, self._stdlib = tests, stdlib
        modules = [path for path in paths if path.endswith(".py")]
        self.folders = {folder for path in modules for folder in folders_above(path)}
        self.packages = {posixpath.dirname(path) for path in modules if path.endswith("/__init__.py")}
        self.roots = {"src"} | {posixpath.dirname(folder) for folder in self.packages} - self.packages
        for path in paths:
            if posixpath.basename(path) in PROJECT_FILES:
                folder = posixpath.dirname(path)
                self.roots |= {folder, posixpath.join(folder, "src")}
        self._top_modules: dict[str, set[str]] = defaultdict(set)
        for path in (*self.packages, *(path[: -len(".py")] for path in modules)):
            self._top_modules[posixpath.dirname(path)].add(posixpath.basename(path))

    def is_looked_up(self, base: str, file: str, dotted: str) -> bool:
        """Can ``dotted``, used in ``file``, be looked up in ``base``?

        The folders above a file count, because a test that is run as a program has its own first; then those that
        hold packages, wherever they are, unless something nearer has the name.
        """
        first = dotted.partition(".")[0]
        above = ("", *folders_above(file))
        if base in above:
            return not (first in self._stdlib and base in self.packages and file not in self._tests)
        return base in self.roots and not any(first in self._top_modules.get(folder, ()) for folder in above)

    def is_beside(self, base: str, file: str) -> bool:
        """Is ``file`` of the package that ``base`` is? "model.weight" means no module beside it there."""
        return base in self.packages and base not in self.roots and file not in self._tests


@lru_cache(maxsize=65536)
def folders_above(path: str) -> tuple[str, ...]:
    """``a`` and ``a/b`` of ``a/b/c.py``; none for a file of the root."""
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[: length + 1]) for length in range(len(parts)))


@lru_cache(maxsize=65536)
def module_names(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path of a module without its ending, and each folder that it can be found from with its name there."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    stem = "" if stem == "__init__" else stem
    parts = stem.split("/") if stem else []
    names = [("/".join(parts[:length]), ".".join(parts[length:])) for length in range(len(parts))]
    if parts[-1:] == ["__main__"]:
        names += [("/".join(parts[:length]), ".".join(parts[length:-1])) for length in range(len(parts) - 1)]
    return stem, tuple(names)


def is_collected(file: str) -> bool:
    """By its name, does pytest read ``file`` below a folder that it is given?"""
    name = posixpath.basename(file)
    return name == "conftest.py" or (
        name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
    )
