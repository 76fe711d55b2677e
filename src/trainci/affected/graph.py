"""Pure: what names what among the files of a repository, followed from changed files to the tests that use them."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from trainci.affected import references
from trainci.affected.console_scripts import RECIPES, installed, started
from trainci.affected.modules import PROJECT_FILES, Modules, folders_above, is_collected, module_names
from trainci.affected.references import References, key_of
from trainci.globs import matches


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
        self._starts = tuple(starts)
        self._aliases: set[str] = set()
        every = files | gone | links.keys()
        self._modules = Modules(every, tests, stdlib)
        self._copies = Counter(posixpath.basename(path) for path in every)
        folders = {folder for path in every for folder in folders_above(path)}
        self._data_folders = folders - self._modules.folders
        self._known = {*self._copies, *(name[: -len(".py")] for name in self._copies if name.endswith(".py"))}
        self._known |= set(map(posixpath.basename, folders))
        self._collected = sorted({*tests, *filter(is_collected, every)})
        # The modules that each command begins with, and the file that says so; none for one that reads that file.
        self._commands: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for path in sorted(path for path in every if posixpath.basename(path) in PROJECT_FILES):
            for command, module in installed(references.decoded(read(path) or b"")):
                self._commands[command].append((module, path))
        for path in sorted(path for path in every if posixpath.basename(path) in RECIPES):
            for command in RECIPES[posixpath.basename(path)]:
                self._commands[command].append(("", path))
        self._index: dict[str, dict[Node, None]] | None = None
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
        # A folder without code is named as a whole, by the code that reads all of it.
        targets = (used, *(folder for folder in folders_above(used) if folder in self._data_folders))
        commands = set(self._commands_of(used))
        # Nor is one with code by the code that imports it, but by what has pytest collect the tests in it.
        collected = folders_above(used) if is_collected(used) else ()
        for user in dict.fromkeys(self._candidates(used, {*targets, *collected}, sorted(commands))):
            if user != used and (hop := self._hop(user, used, targets, commands, collected)):
                yield user, hop
        name, folder = posixpath.basename(used), posixpath.dirname(used)
        if name in ("conftest.py", "__init__.py"):
            for test in self._collected:
                between = [above for above in folders_above(test) if f"{above}/".startswith(f"{folder}/")]
                # pytest imports both kinds before a test; a package only as far as it reaches down to the test.
                is_reached = name == "conftest.py" or self._modules.packages.issuperset(between)
                if is_reached and (between or not folder):
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

    def _candidates(self, used: str, targets: Iterable[str], commands: Iterable[str]) -> Iterator[Node]:
        """Who may use ``used``, by the words that it holds."""
        package, name = posixpath.split(used)
        is_package = name in ("__init__.py", "__main__.py")
        paths = sorted({*targets, *((package,) if is_package else ())})
        meant = {path: key_of(posixpath.basename(path)) for path in paths}
        # Of "plugins." each module of that package is meant, and each package in it.
        around = (package, *((posixpath.dirname(package),) if is_package else ()))
        wholes = {f"{key_of(posixpath.basename(folder))}." for folder in around} if name.endswith(".py") else set()
        for key in sorted({*wholes, *meant.values()}):
            if key in wholes:
                yield from self._holding(key)
            for path in (path for path in meant if meant[path] == key):
                yield from self._who_may_mean(path, key)
        for command in commands:
            yield from self._holding(key_of(command))

    def _who_may_mean(self, path: str, key: str) -> Iterator[Node]:
        """Who holds the word ``key`` of ``path``, and may mean this one of all that are called so.

        That is who holds a word of its folder, too, or lies above or below that one.
        """
        folder, name = posixpath.split(path)
        nodes = self._holding(key)
        if folder in self._modules.roots or self._copies[name] == 1:
            yield from nodes
            return
        holding, above = self._holding(key_of(posixpath.basename(folder))), {"", *folders_above(path)}
        for node in nodes:
            file = node.file if isinstance(node, Start) else node
            if node in holding or file.rpartition("/")[0] in above or file.startswith(f"{folder}/"):
                yield node

    def _holding(self, word: str) -> Mapping[Node, None]:
        """Which nodes hold ``word``, one by which some file can be named."""
        if self._index is None:
            self._index = self._indexed()
        return self._index.get(word, {})

    def _commands_of(self, used: str) -> Iterator[str]:
        """The installed commands that import ``used`` as they start."""
        for command, modules in self._commands.items():
            for module, file in modules:
                if file == used and not module:
                    yield command
                for base, dotted in module_names(used)[1]:
                    if f"{module}.".startswith(f"{dotted}.") and self._modules.is_looked_up(base, file, module):
                        yield command

    def _indexed(self) -> dict[str, dict[Node, None]]:
        vocabulary = {word for name in self._known for word in (key_of(name), f"{key_of(name)}.")}
        vocabulary |= set(map(key_of, self._commands))
        index: dict[str, dict[Node, None]] = defaultdict(dict)
        for file in sorted(self._files | self._links.keys()):
            if references.is_readable(file) and (source := self._read(file)) is not None:
                words = references.words(source)
                if file.endswith("/__init__.py") and references.imports_its_folder(words):
                    words.add(f"{key_of(posixpath.basename(posixpath.dirname(file)))}.")
                for word in words & vocabulary:
                    index[word][file] = None
        for start in self._starts:
            text = "\0".join((*start.arguments, *start.environment)).encode("utf-8", "surrogateescape")
            for word in references.words(text) & vocabulary:
                index[word][start] = None
        return index

    def _hop(
        self, user: Node, used: str, targets: Iterable[str], commands: Set[str], collected: Iterable[str]
    ) -> Hop | None:
        file = user.file if isinstance(user, Start) else user
        for place, found in self._references(user):
            if used.endswith(".py"):
                stem, names = module_names(used)
                is_package = used.endswith("/__init__.py")
                if stem in found.relative or f"{posixpath.dirname(stem)}/" in found.relative:
                    return Hop("imports")
                for base, dotted in names:
                    package = dotted.rpartition(".")[0] + "."
                    is_imported = dotted in found.imports or package in found.imports
                    is_named = dotted in found.names or package in found.names
                    is_whole = is_package and dotted in found.packages
                    # Most files say none of these, and where one is looked up takes longest to tell.
                    says_it = is_imported or is_named or is_whole
                    if not says_it or not (
                        self._modules.is_looked_up(base, file, dotted)
                        or any(self._is_named(base, root, file) for root in found.roots)
                    ):
                        continue
                    if is_imported:
                        return Hop("imports")
                    if (is_named and not self._modules.is_beside(base, file)) or is_whole:
                        return Hop("name", dotted, place)
            for paths, group in ((found.paths, targets), (found.collected, collected)):
                for target in group:
                    for path in sorted(paths.get(posixpath.basename(target), ())):
                        if self._means(found, target, path, file):
                            return Hop("file", path.lstrip("/"), place)
            if found.commands & commands and self._is_recipe_of(found, used, file):
                return Hop("command", min(found.commands & commands), place)
        return None

    def _references(self, user: Node) -> list[tuple[str, References]]:
        if user not in self._parsed:
            self._parsed[user] = self._parse(user)
        return self._parsed[user]

    def _parse(self, user: Node) -> list[tuple[str, References]]:
        if isinstance(user, Start):
            arguments, environment = References(), References()
            arguments.add_words(user.arguments, self._known)
            for word in user.arguments:
                arguments.commands.update(started(word, self._commands.keys()))
            environment.add_words(user.environment, self._known)
            return [("its arguments", arguments), ("its environment", environment)]
        source = self._read(user) or b""
        if user.endswith(".py") or (source.startswith(b"#!") and b"python" in source.partition(b"\n")[0]):
            return [(user, references.of_python(source, user, self._known, self._commands.keys()))]
        is_recipe = posixpath.basename(user) in RECIPES
        if user.endswith(references.TEXT_ENDINGS) or is_recipe or source.startswith(b"#!"):
            return [(user, references.of_text(references.decoded(source), self._known, self._commands.keys()))]
        return []

    def _means(self, found: References, target: str, path: str, file: str) -> bool:
        """Does ``path`` in ``file`` mean ``target``, or its name alone where the folder stands in ``file``, too?"""
        is_alone = "/" not in path.strip("/") and target not in self._data_folders
        return self._is_named(target, path, file) or (is_alone and self._names_folder(found, target, file))

    def _names_folder(self, found: References, target: str, file: str) -> bool:
        folder = posixpath.dirname(target)
        return any(self._is_named(folder, path, file) for path in found.paths.get(posixpath.basename(folder), ()))

    def _is_recipe_of(self, found: References, used: str, file: str) -> bool:
        """Whether a program that ``file`` starts reads ``used``, where that is a file of recipes: it lies there."""
        is_there = posixpath.dirname(used) in ("", *folders_above(file))
        return posixpath.basename(used) not in RECIPES or is_there or self._names_folder(found, used, file)

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
