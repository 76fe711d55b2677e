"""YAML recipes of tests: one script with ``{placeholders}``, and the cases that fill them, each in some scopes.

Such a file has a ``spec`` with a ``script`` and ``products``: lists of values, within which others may stand
(Megatron-LM's ``tests/test_utils/recipes``). Each scope is a suite.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product

from trainci.adopt.placed import Items, NotYaml, Table, Text, load_yaml
from trainci.adopt.proposal import Entry, Found, Note, Place, Suite
from trainci.adopt.tree import Tree

_FIELD = re.compile(r"\{\{|\}\}|\{(\w+)\}")
_CHECKOUT = re.compile(r"(?<![\w.$}])/(?:opt|workspace|root|home|workdir)/[\w.-]+(?=[/\s\"';]|$)")
# What tidies the machine of its launcher; on a shared host it would be somebody's home.
_TIDIES = re.compile(r"\s*(?:rm\s|unset\s|ls\b|trap\s)")
_MOST = 5_000
_MOST_DEPTH = 4


def read(tree: Tree) -> Found:
    """A suite for each scope, and each folder of recipes where there are several."""
    entries: dict[tuple[str, str], dict[Entry, None]] = defaultdict(dict)
    notes: dict[tuple[str, str], dict[Note, None]] = defaultdict(dict)
    unread: list[Note] = []
    for file in [path for path in tree.files if "/recipes/" in path and path.endswith((".yaml", ".yml"))]:
        if posixpath.basename(file).startswith("_"):
            continue  # builds and cleans up
        text = tree.read(file)
        if "products:" not in text or "script:" not in text:
            continue
        try:
            document = load_yaml(text)
        except NotYaml as error:
            unread.append(Note(f"is no YAML: {error}", Place(file, error.line)))
            continue
        if isinstance(document, Table) and document.table("spec").text("script"):
            for scope, entry, said in _cases(document, file, tree):
                if entry is None:
                    unread += said
                    continue
                key = scope, posixpath.basename(posixpath.dirname(file))
                entries[key].setdefault(entry)
                notes[key] |= dict.fromkeys(said)
    several = len({folder for _, folder in entries}) > 1
    suites = [
        Suite(
            name=f"{scope}-{folder}" if several else scope,
            description=f"recipes of the scope {scope}",
            env=tuple(_folders(entries[scope, folder])),
            tests=tuple(entries[scope, folder]),
            place=next(iter(entries[scope, folder])).place,
            notes=tuple(notes[scope, folder]),
        )
        for scope, folder in entries
    ]
    return Found(tuple(suites), tuple(unread))


def _cases(document: Table, file: str, tree: Tree) -> Iterator[tuple[str, Entry | None, list[Note]]]:
    spec = document.table("spec")
    usual = {key: value for key, value in spec.items() if isinstance(value, Text)}
    script = _of_this_repository(spec.text("script"), spec.text("script_setup"), tree)
    for number, (values, line) in enumerate(_combinations(document.items_of("products"), {}, 0)):
        if number == _MOST:
            return
        known = {**usual, **values}
        place = Place(file, line)
        left: list[Note] = []
        if known.get("nodes", "1") != "1":
            text = f"{known.get('test_case', 'a case')}: {known['nodes']} nodes, and trainci leases one host"
            yield "", None, [Note(text, place)]
            continue
        filled = _filled(script, known)
        limit = known.get("time_limit", Text("", line))
        kinds = (known[key] for key in ("test_case", "environment", "platforms", "tag") if key in known)
        entry = Entry(
            command=("bash", "-c", filled),
            name=re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(kinds)).strip("-."),
            num_gpus=int(known["gpus"]) if known.get("gpus", "").isdigit() else None,
            timeout_minutes=int(limit) / 60 if limit.isdigit() and int(limit) else None,
            place=place,
        )
        for name, _ in _folders([entry]):
            text = f"{name} is a folder that the recipe's launcher makes; here it is one of the checkout"
            left.append(Note(text, Place(file, spec.text("script").line), left=False))
        for path in dict.fromkeys(_CHECKOUT.findall(filled)):
            script_place = Place(file, spec.text("script").line)
            left.append(Note(f"{path}, which these recipes name, is not in this repository", script_place))
        yield str(known.get("scope", "recipes")), entry, left


def _combinations(products: Items, outer: dict[str, Text], depth: int) -> Iterator[tuple[dict[str, Text], int]]:
    for one in products:
        if not isinstance(one, Table):
            continue
        axes = {key: one.texts(key) for key in one if key != "products"}
        for values in product(*axes.values()):
            made = {**outer, **dict(zip(axes, values, strict=True))}
            inner = one.items_of("products")
            if inner and depth < _MOST_DEPTH:
                yield from _combinations(inner, made, depth + 1)
            else:
                yield made, one.line


def _of_this_repository(script: str, setup: str, tree: Tree) -> str:
    """The script without what tidies up, in the checkout instead of where its launcher has one."""
    roots = {
        match.group()
        for match in _CHECKOUT.finditer(f"{setup}\n{script}")
        for tail in re.findall(rf"{re.escape(match.group())}/([\w./-]+)", f"{setup}\n{script}")
        if tree.is_file(tail)
    }
    roots |= {path for path in re.findall(r"^\s*cd (/\S+)\s*$", script, re.MULTILINE) if _CHECKOUT.fullmatch(path)}
    for root in sorted(roots, key=len, reverse=True):
        script = re.sub(rf"(?<![\w.]){re.escape(root)}(?![\w.-])", ".", script)
    lines = [line for line in script.splitlines() if line.strip() and not _TIDIES.match(line)]
    # Else only the last line's failure would count.
    stops = any(re.match(r"\s*set\s+-\w*e", line) for line in lines)
    return "\n".join(lines if stops else ["set -e", *lines])


def _filled(script: str, known: dict[str, Text]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group()[0]
        return str(known[name]) if name in known else f"${{{name.upper()}}}"

    return _FIELD.sub(value, script)


def _folders(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """The folders that a launcher makes, each as one of the checkout."""
    names = {name for entry in entries for name in re.findall(r"\$\{([A-Z_]+_DIR)\}", entry.command[-1])}
    return ((name, name.lower()) for name in sorted(names))
