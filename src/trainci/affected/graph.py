"""Pure: what names what among the files of a repository, followed from changed files to the tests that use them."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from trainci.affected import references
from trainci.affected.references import References
from trainci.globs import matches

_TEXT_ENDINGS = (".sh", ".bash", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".j2")
_PROJECT_FILES = frozenset({"pyproject.toml", "setup.py", "setup.cfg"})
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, eq=False)
class Start:
    """What a registered test says of itself beyond its file. ``also`` are globs of files that it uses."""

    id: str
    file: str
    arguments: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


# A file, by its path from the root, or a registered test.
Node = str | Start


@dataclass(frozen=True)
class Hop:
    """How one node uses another: of what ``kind``, by which ``name``, and where that stands (``place``)."""

    kind: str
    name: str = ""
    place: str = ""


@dataclass(frozen=True)
class Step:
    """``user`` uses ``used`` by ``hop``."""

    user: Node
    hop: Hop
    used: str


class Graph:
    """Who uses whom, found out only as far as it is asked for.

    ``files`` are all paths that exist, ``gone`` those that a change removed, ``links`` symbolic links and where
    they lead, ``stdlib`` the modules of Python itself; ``read`` gives the content of a file, or None for none. Each
    file is read twice at most, and parsed once at most.
    """

    def __init__(
        self,
        files: Set[str],
        links: Mapping[str, str],
        tests: Set[str],
        starts: Iterable[Start],
        read: Callable[[str], bytes | None],
        gone: Set[str] = frozenset(),
        stdlib: Set[str] = frozenset(),
    ) -> None:
        self._files, self._links, self._tests, self._read = files, links, tests, read
        self._starts, self._stdlib = tuple(starts), stdlib
        self._aliases: set[str] = set()
        every = files | gone | links.keys()
        self._copies = Counter(posixpath.basename(path) for path in every)
        modules = [path for path in every if path.endswith(".py")]
        with_code = {folder for path in modules for folder in folders_above(path)}
        self._data_folders = {folder for path in every for folder in folders_above(path)} - with_code
        self._packages = {posixpath.dirname(path) for path in modules if path.endswith("/__init__.py")}
        self._roots = {"src"} | {posixpath.dirname(folder) for folder in self._packages} - self._packages
        for path in every:
            if posixpath.basename(path) in _PROJECT_FILES:
                folder = posixpath.dirname(path)
                self._roots |= {folder, posixpath.join(folder, "src")}
        self._top_modules: dict[str, set[str]] = defaultdict(set)
        for path in (*self._packages, *(path[: -len(".py")] for path in modules)):
            self._top_modules[posixpath.dirname(path)].add(posixpath.basename(path))
        self._known = {*self._copies, *(posixpath.basename(path)[: -len(".py")] for path in modules)}
        self._known |= {posixpath.basename(folder) for folder in (*with_code, *self._data_folders)}
        self._index: dict[str, list[Node]] | None = None
        self._parsed: dict[Node, list[tuple[str, References]]] = {}
        self._dependents: dict[str, list[tuple[Node, Hop]]] = {}

    def walk(self, sources: Iterable[str], most: int | None = None) -> dict[Node, Step | None]:
        """Every node that ``sources`` reach, nearest first, with the step that led there; None for a source.

        Ends early once more than ``most`` tests are reached.
        """
        found: dict[Node, Step | None] = dict.fromkeys(sources)
        frontier: list[Node] = list(found)
        tests = 0
        for node in frontier:
            if isinstance(node, Start):
                continue
            for user, hop in self.dependents(node):
                if user not in found:
                    found[user] = Step(user, hop, node)
                    frontier.append(user)
                    tests += self.is_test(user)
            if most is not None and tests > most:
                break
        return found

    def useful(self, walked: Iterable[Node]) -> set[Node]:
        """Those of the nodes of a whole walk from which a test is reached, the tests included."""
        users_of: dict[Node, list[Node]] = defaultdict(list)
        found = set()
        for node in walked:
            if self.is_test(node):
                found.add(node)
            if isinstance(node, str):
                for user, _ in self.dependents(node):
                    users_of[user].append(node)
        frontier = list(found)
        for node in frontier:
            new = [used for used in users_of[node] if used not in found]
            found.update(new)
            frontier += new
        return found

    def is_test(self, node: Node) -> bool:
        return isinstance(node, Start) or node in self._tests

    def below(self, path: str) -> list[str]:
        """The files below ``path``, which is a folder of its own (a submodule), or a link to one."""
        target = self._links.get(path, path)
        below = sorted(file for file in self._files if file.startswith(f"{target}/"))
        aliases = [path + file[len(target) :] for file in below]
        if target != path:
            self._aliases.update(aliases)
        return aliases

    def dependents(self, used: str) -> list[tuple[Node, Hop]]:
        """What uses the file ``used`` itself, and how."""
        if used not in self._dependents:
            self._dependents[used] = list(self._find_dependents(used))
        return self._dependents[used]

    def _find_dependents(self, used: str) -> Iterator[tuple[Node, Hop]]:
        if self._index is None:
            self._index = self._indexed()
        # A folder without code is named as a whole, by the code that reads all of it.
        targets = (used, *(folder for folder in folders_above(used) if folder in self._data_folders))
        keys = _keys(used) | {_key(posixpath.basename(target)) for target in targets}
        candidates = {user: None for key in sorted(keys) for user in self._index.get(key, ())}
        for user in candidates:
            if user != used and (hop := self._hop(user, used, targets)):
                yield user, hop
        name, folder = posixpath.basename(used), posixpath.dirname(used)
        if name in ("conftest.py", "__init__.py"):
            for test in sorted(self._tests):
                between = [above for above in folders_above(test) if f"{above}/".startswith(f"{folder}/")]
                # pytest imports both kinds before a test; a package only as far as it reaches down to the test.
                if (not folder or between) and (name == "conftest.py" or self._packages.issuperset(between)):
                    yield test, Hop("above", used)
        if used not in self._aliases:
            for link, target in self._links.items():
                if used == target or used.startswith(f"{target}/"):
                    alias = link + used[len(target) :]
                    self._aliases.add(alias)
                    yield alias, Hop("link", link)
        for start in self._starts:
            if any(matches(used, pattern) for pattern in start.also):
                yield start, Hop("also")

    def _indexed(self) -> dict[str, list[Node]]:
        """Which nodes hold a word that some file can be named by."""
        vocabulary = {word for name in self._known for word in (_key(name), f"{_key(name)}.")}
        index: dict[str, list[Node]] = defaultdict(list)
        for file in sorted(self._files | self._links.keys()):
            if _is_readable(file) and (source := self._read(file)) is not None:
                for word in references.words(source) & vocabulary:
                    index[word].append(file)
        for start in self._starts:
            text = "\0".join((*start.arguments, *start.environment)).encode("utf-8", "surrogateescape")
            for word in references.words(text) & vocabulary:
                index[word].append(start)
        return index

    def _hop(self, user: Node, used: str, targets: Iterable[str]) -> Hop | None:
        file = user.file if isinstance(user, Start) else user
        for place, found in self._references(user):
            if used.endswith(".py"):
                stem, names = _module_names(used)
                is_package = used.endswith("/__init__.py")
                if stem in found.relative:
                    return Hop("imports")
                for base, dotted in names:
                    package = dotted.rpartition(".")[0] + "."
                    is_imported = dotted in found.imports or package in found.imports
                    is_named = dotted in found.names or package in found.names
                    is_whole = is_package and dotted in found.packages
                    # Most files say none of these, and where one is looked up takes longest to tell.
                    says_it = is_imported or is_named or is_whole
                    if not says_it or not self._is_import_root(base, file, dotted):
                        continue
                    if is_imported:
                        return Hop("imports")
                    # "model.weight" in a package's file means no module beside it.
                    is_beside = base in self._packages and base not in self._roots and file not in self._tests
                    if (is_named and not is_beside) or is_whole:
                        return Hop("name", dotted, place)
            for target in targets:
                for path in sorted(found.paths.get(posixpath.basename(target), ())):
                    if self._is_named(target, path, file):
                        return Hop("file", path.lstrip("/"), place)
        return None

    def _references(self, user: Node) -> list[tuple[str, References]]:
        if user not in self._parsed:
            self._parsed[user] = self._parse(user)
        return self._parsed[user]

    def _parse(self, user: Node) -> list[tuple[str, References]]:
        if isinstance(user, Start):
            arguments, environment = References(), References()
            arguments.add_words(user.arguments, self._known)
            environment.add_words(user.environment, self._known)
            return [("its arguments", arguments), ("its environment", environment)]
        source = self._read(user) or b""
        if user.endswith(".py") or (source.startswith(b"#!") and b"python" in source.partition(b"\n")[0]):
            return [(user, references.of_python(source, user, self._known))]
        if user.endswith(_TEXT_ENDINGS) or source.startswith(b"#!"):
            return [(user, references.of_text(references.decoded(source), self._known))]
        return []

    def _is_import_root(self, base: str, file: str, dotted: str) -> bool:
        """Can ``dotted``, used in ``file``, be looked up in ``base``?

        The folders above a file count, because a test that is run as a program has its own first; then those that
        hold packages, wherever they are, unless something nearer has the name.
        """
        first = dotted.partition(".")[0]
        above = ("", *folders_above(file))
        if base in above:
            return not (first in self._stdlib and base in self._packages and file not in self._tests)
        return base in self._roots and not any(first in self._top_modules.get(folder, ()) for folder in above)

    def _is_named(self, target: str, path: str, file: str) -> bool:
        """Does ``path``, as it stands in ``file``, mean ``target``?

        Seen from the root or from the file; or the end of a path whose beginning nobody knows without running.
        """
        folder = posixpath.dirname(file)
        named = posixpath.normpath(path.lstrip("/"))
        if target in (named, posixpath.normpath(posixpath.join(folder, path.lstrip("/")))):
            return True
        if path.startswith("/") and f"/{named}".endswith(f"/{target}"):
            return True
        while named.startswith("../"):
            named = named[len("../") :]
        if not f"/{target}".endswith(f"/{named}"):
            return False
        is_only_one = target not in self._data_folders and self._copies[named] == 1
        return "/" in named or is_only_one or target.startswith(f"{folder}/")


@lru_cache(maxsize=65536)
def folders_above(path: str) -> tuple[str, ...]:
    """``a`` and ``a/b`` of ``a/b/c.py``; none for a file of the root."""
    parts = path.split("/")[:-1]
    return tuple("/".join(parts[: length + 1]) for length in range(len(parts)))


def _is_readable(file: str) -> bool:
    return file.endswith((".py", *_TEXT_ENDINGS)) or "." not in posixpath.basename(file)


@lru_cache(maxsize=65536)
def _key(name: str) -> str:
    """The word that every mention of ``name`` holds: its longest, and not its ending."""
    stem, _, ending = name.rpartition(".")
    return max(_WORD.findall(stem or ending), key=len, default="")


def _keys(used: str) -> set[str]:
    """The words of which a source that imports ``used`` holds one."""
    if not used.endswith(".py"):
        return set()
    package = _key(posixpath.basename(posixpath.dirname(used)))
    is_package = posixpath.basename(used) in ("__init__.py", "__main__.py")
    return {f"{package}.", package} if is_package else {f"{package}."}


@lru_cache(maxsize=65536)
def _module_names(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path of a module without its ending, and each folder that it can be found from with its name there."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    stem = "" if stem == "__init__" else stem
    parts = stem.split("/") if stem else []
    names = [("/".join(parts[:length]), ".".join(parts[length:])) for length in range(len(parts))]
    if parts[-1:] == ["__main__"]:
        names += [("/".join(parts[:length]), ".".join(parts[length:-1])) for length in range(len(parts) - 1)]
    return stem, tuple(names)
