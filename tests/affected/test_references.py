"""What a source names: each rule has one source that needs it."""

from __future__ import annotations

from typing import Any

import pytest

from trainci.affected.references import References, of_python, of_text, words

KNOWN = {"x.json", "a", "my x.json", "plugins", "data"}


def python(text: str | bytes, file: str = "p/d/f.py") -> References:
    return of_python(text if isinstance(text, bytes) else text.encode(), file, KNOWN)


def text(source: str) -> References:
    return of_text(source, KNOWN)


@pytest.mark.parametrize(
    ("source", "what", "expected"),
    [
        ("import b.c, d", "imports", {"b", "b.c", "d"}),
        ("from b import c, d", "imports", {"b", "b.c", "b.d"}),
        ("from . import c", "relative", {"p/d", "p/d/c"}),
        ("from .b import c", "relative", {"p/d", "p/d/b", "p/d/b/c"}),
        ("from .. import c", "relative", {"p", "p/c"}),
        ("from ....b import c", "relative", {"", "b", "b/c"}),
        ("import " + ".".join("b" * 150), "imports", {".".join("b" * n) for n in range(1, 101)}),
        ("pytest_plugins = ['b.c']", "imports", {"b", "b.c"}),
        ("other = ['b.c']", "imports", set()),
        ("import_module('b.c')", "imports", {"b", "b.c"}),
        ("importlib.import_module('b.c:run')", "imports", {"b", "b.c"}),
        ("import_module('.c', 'b')", "imports", {"b", "b.c"}),
        ("import_module('..c', 'b.d.e')", "imports", {"b", "b.d", "b.d.c"}),
        ("import_module('.c')", "relative", {"p/d", "p/d/c"}),
        ("pytest.importorskip('b')", "imports", {"b"}),
        ("__import__('b')", "imports", {"b"}),
        ("runpy.run_module('b')", "imports", {"b"}),
        ("find_spec('b')", "imports", {"b"}),
        ("pkgutil.resolve_name('b')", "imports", {"b"}),
        ("import_module('.')", "relative", {"p/d"}),
        ("other('b')", "imports", set()),
        ("run(['-m', 'b.c'])", "names", {"b", "b.c"}),
        ("run(('python', '-m', 'b.c'))", "names", {"b", "b.c"}),
        ("run(['--model', 'b.c'])", "names", set()),
        ("run('python -m b.c')", "names", {"b", "b.c"}),
        ("run('a.b.run')", "names", {"a", "a.b", "a.b.run"}),
        ("run('other.b.run')", "names", set()),
        ("run(f'a.b.c.d.{x}')", "names", {"a.b.c", "a.b.c.d", "a.b.c.d."}),
        ("run('a.json')", "names", set()),
        ("run('/a.b/c')", "names", set()),
        ("run('x-a.b')", "names", set()),
        ("run('a.b-c')", "names", set()),
        ("run(f'plugins.{name}')", "names", {"plugins", "plugins."}),
        ("run('plugins.%s' % name)", "names", {"plugins", "plugins."}),
        ("run('plugins.$NAME')", "names", {"plugins", "plugins."}),
        ("run('a.b.c.d.e')", "names", {"a.b.c", "a.b.c.d", "a.b.c.d.e"}),
        ("run('a.b.c.d.e')", "packages", {"a", "a.b"}),
        ("open('d/x.json')", "paths", {"x.json": {"d/x.json"}}),
        ("open('other.json')", "paths", {}),
        ("open('d/data/')", "paths", {"data": {"d/data"}}),
        ("open('see d/x.json.')", "paths", {"x.json": {"d/x.json", "see d/x.json"}}),
        ("open('d/my x.json')", "paths", {"x.json": {"x.json"}, "my x.json": {"d/my x.json"}}),
        (f"open('{'b' * 1000}/my x.json')", "paths", {"x.json": {"x.json"}}),
        ("run('--file=d/x.json,e')", "paths", {"x.json": {"d/x.json"}}),
        ("run('$ROOT/x.json')", "paths", {"x.json": {"/x.json", "$ROOT/x.json"}}),
        ("run('d%s/x.json' % n)", "paths", {"x.json": {"/x.json", "d%s/x.json"}}),
        ("p = x / 'd' / 'x.json'", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("open(x / 'd' / 'x.json')", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("p = 'd' / x / 'x.json'", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("p = x / 'b' / 'data' / 'x.json'", "paths", {"data": {"data"}, "x.json": {"b/data/x.json", "x.json"}}),
        ("p = 'd' + 'x.json'", "paths", {"x.json": {"x.json"}}),
        ("os.path.join(x, 'd', 'x.json')", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("x.joinpath('d', name='x.json')", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("Path('d', 'x.json')", "paths", {"x.json": {"d/x.json", "x.json"}}),
        ("other('d', 'x.json')", "paths", {"x.json": {"x.json"}}),
        ("def f():\n    'See x.json.'", "paths", {}),
        ("# coding: latin-1\nopen('d\xe9/x.json')".encode("latin-1"), "paths", {"x.json": {"d\xe9/x.json"}}),
        ("does not parse: import b\nopen('x.json')", "paths", {"x.json": {"x.json"}}),
        ("import b\nx = ('x.json' + \n", "imports", {"b"}),
        ("from . import c\nimport b\n" + "#" * 2**19, "relative", set()),
        ("from . import c\nimport b\n" + "#" * 2**19, "imports", {"b"}),
    ],
)
def test_what_a_python_file_names(source: str | bytes, what: str, expected: Any) -> None:
    assert getattr(python(source), what) == expected


@pytest.mark.parametrize(
    ("source", "what", "expected"),
    [
        ("python -m b.c", "names", {"b", "b.c"}),
        ("python3 -m=b.c", "names", {"b", "b.c"}),
        ("python --from-m b.c", "names", set()),
        ("cat x.json # see", "paths", {"x.json": {"x.json"}}),
        ("echo\n  # cat x.json", "paths", {}),
        ("import b.c, d as e", "imports", {"b", "b.c", "d", "as", "e"}),
        ("echo\n  from b import c, d", "imports", {"b", "b.c", "b.d"}),
        ("from b import (c,\n    d)", "imports", {"b", "b.c", "b.d"}),
        ("from .b import c", "imports", set()),
        ("target: a.run.main", "names", {"a", "a.run", "a.run.main"}),
    ],
)
def test_what_a_text_names(source: str, what: str, expected: Any) -> None:
    assert getattr(text(source), what) == expected


def test_the_words_of_a_command_are_read_one_by_one() -> None:
    found = References()
    found.add_words(["python", "-m", "b.c", "d/my x.json", "a.run"], KNOWN)
    assert found.names == {"b", "b.c", "a", "a.run"}
    assert found.paths["my x.json"] == {"d/my x.json"}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("a_b", "a_b"),
        (r"'a\nb'", "b"),
        (r"'C:\new'", "new"),
        ("f'plugins.{x}'", "plugins."),
        ("'plugins.%s'", "plugins."),
    ],
)
def test_no_word_of_a_source_is_overlooked(source: str, word: str) -> None:
    assert word in words(source.encode())
