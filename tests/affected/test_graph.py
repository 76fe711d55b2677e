"""The graph by itself, of files that are only said to be there."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainci.affected import references
from trainci.affected.graph import Graph, Start

Files = Mapping[str, str]


class Counting:
    """The content of files, and how often each was asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.reads: dict[str, int] = {}

    def __call__(self, path: str) -> bytes | None:
        self.reads[path] = self.reads.get(path, 0) + 1
        return self._files[path].encode("utf-8", "surrogateescape") if path in self._files else None


def graph(files: Files, gone: str = "", read: Counting | None = None) -> Graph:
    tests = frozenset(path for path in files if "test_" in path)
    return Graph(files.keys() - {gone}, {}, tests, (), read or Counting(files), gone=frozenset({gone} - {""}))


def reached(files: Files, changed: str) -> set[str]:
    """The tests that a file reaches, which is there no more."""
    found = graph(files, changed).walk([changed])
    return {str(node) for node in found if "test_" in str(node) and node != changed}


@pytest.mark.parametrize(
    ("test", "line", "helper"),
    [
        ("tests/test_x.py", "import _shared", "tests/_shared.py"),
        ("tests/test_x.py", "import os, _shared as s", "tests/_shared.py"),
        ("tests/test_x.py", "from _shared import *", "tests/_shared.py"),
        ("tests/test_x.py", "from . import _shared", "tests/_shared.py"),
        ("tests/test_x.py", "from ._shared import a", "tests/_shared.py"),
        ("tests/test_x.py", "import tests._shared", "tests/_shared.py"),
        ("tests/test_x.py", "from tests import _shared", "tests/_shared.py"),
        ("tests/sub/test_x.py", "from .. import _shared", "tests/_shared.py"),
        ("tests/sub/test_x.py", "from .._shared import a", "tests/_shared.py"),
        ("tests/sub/test_x.py", "from . import a", "tests/sub/__init__.py"),
        ("tests/test_x.py", "import util.a.b", "tests/util/a/b.py"),
        ("tests/test_x.py", "import util.a.b", "tests/util/a/__init__.py"),
        ("tests/test_x.py", "import util.a.b", "tests/util/__init__.py"),
        ("tests/test_x.py", "from util import a", "tests/util/a.py"),
        ("tests/test_x.py", "import train.loop", "train/loop.py"),
        ("tests/test_x.py", "import _shared", "tests/_shared/__init__.py"),
        ("tests/test_x.py", "import größe", "tests/größe.py"),
        ("tests/test_x.py", "f('a.b\\nc.d.e')", "c/d.py"),
        ("tests/test_x.py", "pkgutil.resolve_name('a:f')", "a.py"),
        ("tests/test_x.py", "importlib.import_module(name='a')", "a.py"),
        ("tests/test_x.py", "import_module('plugins.' + name)", "plugins/a.py"),
        ("tests/test_x.py", "import_module('plugins.%s' % name)", "plugins/a.py"),
        ("tests/test_x.py", "import_module('plugins.' + name)", "plugins/a/__init__.py"),
        ("tests/test_x.py", "patch('lib.a.f')", "lib/a.py"),
        ("tests/test_x.py", "run('/srv/code/tools/x.py')", "tools/x.py"),
        ("tests/test_x.py", "run(f'{root}/tools/x.py')", "tools/x.py"),
        ("tests/test_x.py", "run('${ROOT}/tools/x.py')", "tools/x.py"),
        ("tests/test_x.py", "run('a=../tools/x.py,b')", "tools/x.py"),
        ("tests/test_x.py", "run('$HERE/x.py')", "tests/sub/x.py"),
        ("tests/sub/test_x.py", "run('cd .. && python ../tools/x.py')", "tools/x.py"),
        ("tests/test_x.py", "open('golden-7.json')", "assets/deep/golden-7.json"),
        ("tests/test_x.py", "open(f'assets/golden/x_{name}.json')", "assets/golden/x_a.json"),
        ("tests/test_x.py", "run('cd tools && python x.py')", "tools/x.py"),
        ("tests/test_x.py", "run(['python', 'x.py'], cwd='tools')", "tools/x.py"),
        ("tests/test_x.py", "run('DIR=tools/deep; python $DIR/x.py')", "tools/deep/x.py"),
    ],
)
def test_a_test_depends_on_what_it_names(test: str, line: str, helper: str) -> None:
    other = "# _shared util train loop größe\nx = '_shared', 'c', 'a', 'plugins', 'lib', 'tools', 'x'"
    assert reached({test: line, "tests/other/test_other.py": other}, helper) == {test}


@pytest.mark.parametrize("named", ["{'impl': ['Thing']}", "dict(Thing='.deep.impl:Thing')", "['deep.impl']"])
def test_a_package_uses_what_it_imports_once_that_is_asked_for(named: str) -> None:
    helper = "lib/deep/impl.py" if "deep" in named else "lib/impl.py"
    files = {"tests/test_x.py": "from lib import Thing", "lib/__init__.py": f"LAZY = {named}", helper: ""}
    other = {"tests/test_other.py": "x = 'impl', 'deep'", "other/__init__.py": "x = 'impl', 'deep'"}
    assert reached({**files, **other}, helper) == {"tests/test_x.py"}


@pytest.mark.parametrize(
    "said",
    [
        "run('pytest -x tests/unit')",
        "run([sys.executable, '-m', 'pytest', 'tests/unit'])",
        "pytest.main(['-q', 'tests/unit'])",
        "run('python -m unittest discover -s tests/unit')",
        "run('cd tests && pytest unit')",
    ],
)
def test_who_has_a_folder_of_tests_collected_uses_those_tests_and_what_they_use(said: str) -> None:
    files = {
        "go.py": said,
        "tests/unit/deep/test_a.py": "import lib.a",
        "tests/unit/deep/help.py": "",
        "lib/a.py": "",
    }

    def is_used(used: str, **other: str) -> bool:
        return "go.py" in graph({**files, used: files.get(used, ""), **other}).walk([used])

    for used in ("tests/unit/deep/test_a.py", "tests/unit/conftest.py", "tests/conftest.py", "lib/a.py"):
        assert is_used(used), used
    # What is no test, lies elsewhere or is only named is not collected.
    assert not is_used("tests/unit/deep/help.py") and not is_used("tests/more/test_b.py")
    assert not is_used("lib/a.py", **{"go.py": "run('ls tests/unit')"})


def test_a_program_that_reads_recipes_uses_them_and_what_they_start() -> None:
    for file, command in (
        ("Makefile", "make"),
        ("justfile", "just"),
        ("tox.ini", "tox -e"),
        ("noxfile.py", "nox -s"),
    ):
        recipe = "s.run('python', 'a.py')" if file == "noxfile.py" else "t:\n\tpython a.py\n"
        for folder, said in (("", f"run('{command} t')"), ("sub/", f"run('cd sub && {command} t')")):
            files = {"tests/test_x.py": said, f"{folder}{file}": recipe, f"{folder}a.py": "", "b/a.py": ""}
            for used in (f"{folder}{file}", f"{folder}a.py"):
                assert reached(files, used) == {"tests/test_x.py"}, (used, said)
        assert reached({"tests/test_x.py": f"run('{command} t')", f"sub/{file}": recipe}, f"sub/{file}") == set()
    assert reached({"tests/test_x.py": "x = 'make sure of it'", "Makefile": ""}, "Makefile") == set()


@pytest.mark.parametrize("lists", ["pkgutil.iter_modules(__path__)", "os.listdir(here)", "HERE.glob('*.py')"])
def test_a_registry_that_imports_its_folder_uses_every_module_of_it(lists: str) -> None:
    registry = f"for one in {lists}:\n    importlib.import_module(f'{{__name__}}.{{one}}')\n"
    files = {
        "tests/test_x.py": "import lib",
        "lib/__init__.py": registry,
        "lib/a.py": "",
        "lib/sub/__init__.py": "",
    }
    for used in ("lib/a.py", "lib/sub/__init__.py"):
        assert reached(files, used) == {"tests/test_x.py"}, used
    for other in (f"x = {lists}", "importlib.import_module(name)"):
        assert reached({**files, "lib/__init__.py": other}, "lib/a.py") == set()


@pytest.mark.parametrize(
    "where", ["'tools/lib'", "0, str(ROOT / 'tools' / 'lib')", "join(HERE, '..', 'tools/lib')"]
)
def test_a_module_is_found_in_a_folder_that_the_file_adds_to_the_path(where: str) -> None:
    name = "insert" if where.startswith("0") else "append"
    files = {"tests/test_x.py": f"sys.path.{name}({where})\nimport helper", "tools/lib/helper.py": ""}
    assert reached(files, "tools/lib/helper.py") == {"tests/test_x.py"}
    files["tests/test_x.py"] = f"x.{name}({where})\nimport helper"
    assert reached(files, "tools/lib/helper.py") == set()


def test_a_conftest_reaches_the_tests_below_it() -> None:
    files = dict.fromkeys(("tests/test_a.py", "tests/sub/test_b.py", "tests/sub2/test_c.py"), "")
    assert reached(files, "tests/sub/conftest.py") == {"tests/sub/test_b.py"}
    assert len(reached(files, "conftest.py")) == 3


def test_a_changed_test_file_is_no_reason_for_itself() -> None:
    files = {"tests/test_a.py": "import test_a, test_b", "tests/test_b.py": ""}
    assert reached(files, "tests/test_a.py") == set()
    assert reached(files, "tests/test_b.py") == {"tests/test_a.py"}


def test_a_package_of_a_folder_is_found_unless_something_nearer_has_its_name() -> None:
    files = {"python/pkg/__init__.py": "", "python/pkg/m.py": "", "tests/test_a.py": "import pkg.m"}
    assert reached(files, "python/pkg/m.py") == {"tests/test_a.py"}
    assert reached({**files, "tests/pkg/__init__.py": ""}, "python/pkg/m.py") == set()
    # A folder that is no package hides none.
    assert reached({**files, "tests/pkg/test_b.py": ""}, "python/pkg/m.py") == {"tests/test_a.py"}


@pytest.mark.parametrize(
    ("test", "line"),
    [
        ("tests/test_x.py", "import a.utils"),
        ("a/sub/test_x.py", "import utils"),
        ("a/sub/test_x.py", "open('../utils.py')"),
        ("test_x.py", "open('a/utils.py')"),
    ],
)
def test_of_several_files_of_one_name_the_one_that_is_meant_is_used(test: str, line: str) -> None:
    files = {test: line, **{f"{folder}/utils.py": "" for folder in ("a", "b", "a/sub/deep")}}
    assert reached(files, "a/utils.py") == {test}
    assert reached(files, "b/utils.py") == set()


@pytest.mark.parametrize("name", ["go.sbatch", "go.slurm", "args.txt", "run.env", "go.sh.jinja"])
def test_what_a_file_of_text_names_is_used(name: str) -> None:
    assert reached({"tests/test_a.py": f"run('x {name}')", name: "--rm lib.two.f"}, "lib/two.py") == {
        "tests/test_a.py"
    }


def test_a_command_in_the_text_that_an_entry_gives_to_a_shell_is_started() -> None:
    files = {"Makefile": "t:\n\tpython a.py\n", "a.py": ""}
    start = Start("x", "", ("bash", "-c", "cd . && make t"))
    found = Graph(files.keys(), {}, frozenset(), (start,), Counting(files))
    assert start in found.walk(["a.py"])


def test_a_python_script_without_an_ending_is_read_as_one() -> None:
    files = {"tests/test_a.py": "run('./launch')", "launch": "#!/usr/bin/python3\nimport_module('two')\n"}
    assert reached(files, "two.py") == {"tests/test_a.py"}
    assert reached({**files, "launch": "#!/bin/sh\nimport_module('two')\n"}, "two.py") == set()


def test_a_word_that_begins_like_a_module_is_no_name_of_one_beside() -> None:
    """Keys of a checkpoint, in a package that happens to hold a module of that name."""
    files = {"pkg/__init__.py": "", "pkg/model.py": "", "pkg/load.py": "x = 'model.layers.0.weight'; y = 'model.w'"}
    files["tests/test_a.py"] = "import pkg.load"
    assert reached(files, "pkg/model.py") == set()
    assert reached({**files, "pkg/load.py": "x = 'pkg.model.Class.method'"}, "pkg/model.py") == {"tests/test_a.py"}
    assert reached({**files, "pkg/load.py": "x = 'pkg.a.b.c.d'"}, "pkg/__init__.py") == {"tests/test_a.py"}


def test_only_files_that_hold_a_word_of_the_name_are_read_a_second_time() -> None:
    files = {f"tests/test_{number}.py": "import other, json\nimport lib.util" for number in range(50)}
    files |= {"tests/test_x.py": "import lib.deep", "lib/deep.py": "", "lib/util.py": "import json"}
    read = Counting(files)
    found = graph(files, read=read).walk(["lib/deep.py"])
    assert set(found) == {"lib/deep.py", "tests/test_x.py"}
    assert {path for path, count in read.reads.items() if count > 1} == {"tests/test_x.py"}
    assert max(read.reads.values()) == 2


def test_each_file_is_parsed_once_however_many_files_change() -> None:
    files = {f"m{number}.py": f"import m{number + 1}, m0" for number in range(30)} | {"test_a.py": "import m0"}
    read = Counting(files)
    one = graph(files, read=read)
    for number in range(30):
        assert "test_a.py" in one.walk([f"m{number}.py"])
    assert max(read.reads.values()) == 2


def test_a_walk_ends_once_it_is_known_to_reach_too_many() -> None:
    files = {f"test_{number}.py": "import " + (f"test_{number - 1}" if number else "lib") for number in range(50)}
    one = graph({**files, "lib.py": ""})
    assert len(one.walk(["lib.py"])) == 51
    assert len(one.walk(["lib.py"], most=3)) < 8


_MEGABYTE = 2**20
HOSTILE = [
    "\n",
    "a",
    "a.",
    "a.b/",
    " ",
    "from ",
    "from a\t",
    "\\",
    "-m ",
    "import a,",
    "'",
    "#\n",
    "$",
    "/",
    "a=",
    "{",
    "'x' / ",
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [_MEGABYTE // 32, pytest.param(_MEGABYTE, marks=pytest.mark.slow)])
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_source_of_one_piece_takes_neither_long_nor_much_memory(piece: str, size: int) -> None:
    """What takes quadratic time would take hours or days; the limit is only there to end it."""
    text = (piece * size)[:size]
    source, known = text.encode(), frozenset({"a", "b", "x"})
    tracemalloc.start()
    try:
        references.words(source)
        references.of_text(text, known)
        references.of_python(source, "d/f.py", known)
        assert tracemalloc.get_traced_memory()[1] < 500 * _MEGABYTE
    finally:
        tracemalloc.stop()


_PIECES = ["import ", "from ", ".", "..", "a", "b.c", " / ", "'x/y.json'", "(", ")", "\n", "\\", '"', "f'{", "}'"]
_PIECES += ["#", "-m ", "\0", "é", "$", "%s"]
_TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_PIECES), max_size=20).map("".join))


@given(_TEXTS)
def test_any_source_gives_references_whose_words_it_holds(text: str) -> None:
    """Or the graph, which looks at words first, would not find what it names."""
    source = text.encode("utf-8", "surrogateescape")
    known = frozenset({"a", "b", "c", "x", "y.json"})
    found = references.of_python(source, "d/f.py", known)
    words = references.words(source)
    for dotted in found.imports | found.names:
        last = dotted.rstrip(".").rpartition(".")[2]
        assert last in words or last == "*" or not last, (dotted, words)
    for path in found.paths:
        assert path.partition(".")[0] in words
