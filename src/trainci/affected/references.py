"""Pure: what a source names, be it an import, a dotted name or a file name. Nothing is ever imported or run."""

from __future__ import annotations

import ast
import posixpath
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from trainci.affected.console_scripts import RUNNERS, started

TEXT_ENDINGS = (
    *(".sh", ".bash", ".sbatch", ".slurm", ".env", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini", ".gin"),
    *(".j2", ".jinja", ".jinja2", ".tmpl", ".txt"),
)
_WORD = re.compile(r"\\?\w+")
# What may stand in a path without quotes around it.
_TOKEN = re.compile(r"[^\s'\"`=,;:(){}\[\]<>|&$*?!]+")
# What is put in at run time: $NAME in a shell, %s in Python.
_VARIABLE = re.compile(r"\$\w+|%[sdr](?!\w)")
# Ends in a dot where the rest of it is put in: f"plugins.{name}", plugins.$NAME.
_DOTTED = re.compile(r"(?<![\w./-])[^\W\d]\w*(?:\.[^\W\d]\w*)*(?:\.(?=[$%{]|\Z))?(?![\w/-])")
_IS_FILE = re.compile(
    r"\.(?:bash|bin|c|cfg|cpp|csv|cu|gz|h|html|ini|ipynb|j2|jpg|json|jsonl|lock|log|md|parquet|png|pt|pth|py|"
    r"safetensors|sh|so|tar|toml|txt|xml|yaml|yml|zip)\Z"
)
_PACKAGE_OF = re.compile(r"(\b\w+\.)(?=[{$%'\"])")
_IMPORT_LINE = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(?:\(([^)]{0,2000})|([\w, \t]+))|import[ \t]+([\w., \t]+))",
    re.MULTILINE,
)
# What a package imports once it is asked for: {"impl": ["Thing"]}, {"Thing": ".models.impl:Thing"}.
_SUBMODULE = re.compile(r"\.?((?:[^\W\d]\w*\.)*([^\W\d]\w*))(?::\w+)?")
_RUN_MODULE = re.compile(r"(?<!\S)-m[\s=]+([\w.]+)")
# What stands behind the program that collects the tests of a folder, to the end of the command.
_COLLECTS = re.compile(r"\b(?:pytest|unittest)\b((?:\\\n|[^;&|\n])*)")
_COMMENT_LINE = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
# Functions whose argument is a module, even where it is a single word.
_TAKES_MODULE = frozenset(
    {"import_module", "__import__", "run_module", "find_spec", "importorskip", "resolve_name"}
)
# Functions whose first argument is a command, even where it is a single word.
_STARTS = frozenset({"run", "Popen", "call", "check_call", "check_output", "getoutput", "system", "which"})
# Functions that list the modules of a package, for one that then imports them all.
_LISTS = frozenset({"iter_modules", "walk_packages", "listdir", "scandir", "iterdir", "glob", "rglob"})
_IMPORTS = frozenset({"import_module", "__import__"})
_LONGEST_NAME = 1000
# A syntax tree may take nine hundred times the memory of its source.
_LARGEST_PARSED = 2**19
# The longest path that Linux opens holds about 2,000 folders; a real one has fewer than a hundred.
_DEEPEST = 100


@dataclass
class References:
    """What one source names.

    ``imports`` are dotted, each with all that stand before it (``a.b`` has ``a``, too). ``names`` are so as far as
    they may be a module, its class and a method; ``packages`` are what stands before those. A name that ends in a
    dot stands for every module of that package. ``relative`` are paths of modules, without an ending; one that ends
    in a slash stands for every module of that folder. ``roots`` are folders in which modules are looked up.
    ``paths`` maps the last part of each path that is named to the paths, as they are written; ``collected`` are
    those of them that pytest or unittest is given. ``commands`` are those of the repository's own that are started
    by name.
    """

    imports: set[str] = field(default_factory=set)
    relative: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    roots: set[str] = field(default_factory=set)
    paths: dict[str, set[str]] = field(default_factory=dict)
    collected: dict[str, set[str]] = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)

    def add_text(self, text: str, known: Set[str]) -> None:
        """Note what ``text`` names, if ``known`` holds the last part of a path or the first of a dotted name."""
        whole = (text,) if len(text) <= _LONGEST_NAME else ()
        for token in (*_TOKEN.findall(_VARIABLE.sub(" ", text)), *whole):
            path = token.rstrip("/.")
            if (last := path.rpartition("/")[2]) in known:
                self.paths.setdefault(last, set()).add(path)
        for dotted in _DOTTED.findall(text):
            first, dot, _ = dotted.partition(".")
            if dot and first in known and not _IS_FILE.search(dotted):
                prefixes = list(_prefixes(dotted))
                self.packages.update(prefixes[:-3])
                self.names.update(prefixes[-3:])
        for module in _RUN_MODULE.findall(text):
            self.names.update(_prefixes(module))
        self.add_collected(text, known)

    def add_words(self, words: Sequence[str], known: Set[str]) -> None:
        """Note what the words of a command name, each on its own and, after ``-m``, as a module."""
        for word in words:
            self.add_text(word, known)
        self.add_started(words, known)

    def add_started(self, words: Sequence[str], known: Set[str]) -> None:
        """Note the modules that follow a ``-m``, and what a program is given that collects tests."""
        for option, module in pairwise(words):
            if option == "-m":
                self.names.update(_prefixes(module))
        self.add_collected(" ".join(words), known)

    def add_collected(self, text: str, known: Set[str]) -> None:
        """Note the paths that ``text`` gives to pytest or unittest."""
        for given in _COLLECTS.findall(text) if "test" in text else ():
            for token in _TOKEN.findall(_VARIABLE.sub(" ", given)):
                path = token.rstrip("/.")
                if (last := path.rpartition("/")[2]) in known:
                    self.collected.setdefault(last, set()).add(path)


def words(source: bytes) -> set[str]:
    """Every word of a source: far cheaper than parsing it, and no name can be used without its words.

    A word that ends in a dot is the last of a package whose module is put in.
    """
    text = decoded(source)
    found = set(_PACKAGE_OF.findall(text))
    for word in _WORD.findall(text):
        # In "a\nb" the word is b, and in "C:\new" it is new.
        found.update((word[1:], word[2:]) if word[0] == "\\" else (word,))
    return found


def imports_its_folder(found: Set[str]) -> bool:
    """Whether a package whose source holds these words lists its modules and imports them: a registry."""
    return not found.isdisjoint(_LISTS) and not found.isdisjoint(_IMPORTS)


def is_readable(file: str) -> bool:
    """Whether what ``file`` names is looked for."""
    return file.endswith((".py", *TEXT_ENDINGS)) or "." not in posixpath.basename(file)


@lru_cache(maxsize=65536)
def key_of(name: str) -> str:
    """The word that every mention of ``name`` holds: its longest, and not its ending."""
    stem, _, ending = name.rpartition(".")
    return max(re.findall(r"\w+", stem or ending), key=len, default="")


def decoded(source: bytes) -> str:
    """The text of a source; bytes that are no UTF-8 stand for themselves, as in the names of files."""
    return source.decode("utf-8", "surrogateescape")


def of_python(source: bytes, file: str, known: Set[str], commands: Set[str] = frozenset()) -> References:
    """What a Python file at ``file`` names. What does not parse, or is large, is read as text: little is lost."""
    if len(source) > _LARGEST_PARSED:
        return of_text(decoded(source), known, commands)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Bytes, so that Python itself applies the file's coding line and byte-order mark.
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return of_text(decoded(source), known, commands)
    found = References()
    folder, is_package = posixpath.dirname(file), posixpath.basename(file) == "__init__.py"
    # Docstrings, and what is divided once more: parents come before their children.
    skipped: set[int] = set()
    called: set[str] = set()
    installed = commands - RUNNERS
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.imports.update(_prefixes(alias.name))
        elif isinstance(node, ast.ImportFrom):
            module = f"{node.module}." if node.module else ""
            for alias in node.names:
                _add_import(found, f"{'.' * node.level}{module}{alias.name}", folder)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            found.add_text(node.value, known)
            # A single word may be anything, but for what stands first in a list of words or is given to run().
            if len(node.value.split(maxsplit=1)) > 1:
                found.commands.update(started(node.value, installed))
            if is_package and (named := _SUBMODULE.fullmatch(node.value)) and named[2] in known:
                _add_import(found, f".{named[1]}", folder)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            skipped.add(id(node.left))
            if id(node) not in skipped:
                found.add_text("/".join(_strings(_divided(node))), known)
        elif isinstance(node, ast.JoinedStr):
            for text in _strings(node.values[:-1]):
                # Of "golden/x_{name}.json" all of the folder may be meant.
                found.add_text(text.rpartition("/")[0], known)
        elif isinstance(node, ast.Call):
            _add_call(found, node, folder, known)
            called.add(_called(node))
            if _called(node) in _STARTS:
                found.commands.update(started(" ".join(_strings(node.args[:1])), commands))
        elif isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, (ast.List, ast.Tuple)):
            found.add_started(list(_strings(node.elts)), known)
            if node.elts and isinstance(node.elts[0], ast.Constant):
                found.commands.update(started(" ".join(_strings(node.elts)), commands))
        elif isinstance(node, ast.Assign) and any(_is_name(target, "pytest_plugins") for target in node.targets):
            for text in _strings(ast.walk(node.value)):
                found.imports.update(_prefixes(text))
    if is_package and imports_its_folder(called):
        found.relative.add(f"{folder}/")
    return found


def of_text(text: str, known: Set[str], commands: Set[str] = frozenset()) -> References:
    """What a shell script, or a file of settings, names."""
    found = References()
    text = _COMMENT_LINE.sub("", text)
    found.add_text(text, known)
    found.commands.update(started(text, commands))
    for module, many, names, modules in _IMPORT_LINE.findall(text):
        for name in re.split(r"[,\s]+", many or names or modules):
            dotted = f"{module}.{name}" if module else name
            if not dotted.startswith("."):
                found.imports.update(_prefixes(dotted))
    return found


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """As ``ast.walk``, without the leaves that name nothing: half of all nodes."""
    found = [tree]
    for node in found:
        yield node
        for field_name in node._fields:
            value = getattr(node, field_name, None)
            if isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, (ast.Name, ast.expr_context, ast.operator)):
                found.append(value)


def _prefixes(dotted: str) -> Iterator[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``; ``a`` and ``a.`` of ``a.``."""
    parts = dotted.rstrip(".").split(".")[:_DEEPEST]
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])
    if dotted.endswith("."):
        yield dotted


def _add_import(found: References, dotted: str, folder: str) -> None:
    """An import that may be relative, in a file in ``folder``."""
    name = dotted.lstrip(".")
    if level := len(dotted) - len(name):
        parents = folder.split("/") if folder else []
        base = "/".join(parents[: max(len(parents) - level + 1, 0)])
        found.relative.add(base)
        found.relative.update(
            posixpath.join(base, prefix.replace(".", "/")) for prefix in _prefixes(name) if prefix
        )
    else:
        found.imports.update(_prefixes(name))


def _add_call(found: References, node: ast.Call, folder: str, known: Set[str]) -> None:
    """``join(x, "a", "b.json")`` and ``import_module("a")``, under whatever name the function is called."""
    name = _called(node)
    if name in ("append", "insert") and _is_sys_path(getattr(node.func, "value", None)):
        constants = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
        constants.sort(key=lambda part: (part.lineno, part.col_offset))
        found.roots.add("/".join(_strings(constants)))
    texts = list(_strings([*node.args, *(keyword.value for keyword in node.keywords)]))
    if name == "main" and isinstance(node.args[0] if node.args else None, ast.List):
        found.add_collected(f"pytest {' '.join(_strings(ast.walk(node.args[0])))}", known)
    elif name in ("join", "joinpath", "Path"):
        found.add_text("/".join(texts), known)
    elif name in _TAKES_MODULE and texts:
        module, *packages = texts
        dotted = module.partition(":")[0]
        level = len(dotted) - len(dotted.lstrip("."))
        if level and packages:
            parts = packages[0].split(".")
            dotted = ".".join([*parts[: len(parts) - level + 1], dotted[level:]])
        _add_import(found, dotted, folder)


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def _divided(node: ast.expr) -> list[ast.expr]:
    """The parts of ``x / "a" / "b.json"``."""
    parts = []
    while isinstance(node, ast.BinOp):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


def _strings(nodes: Iterable[ast.AST]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_sys_path(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "path" and _is_name(node.value, "sys")


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
