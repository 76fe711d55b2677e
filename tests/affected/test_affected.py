"""Which tests a change reaches, in small real repositories."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest

from trainci import config, git
from trainci.affected import Affected, find_affected
from trainci.catalog.files import find_test_files
from trainci.errors import UsageError

MAIN = "NUM_GPUS = 0\nif __name__ == '__main__':\n    pass\n"
Files = Mapping[str, str]
NONE: Files = MappingProxyType({})


def affected(
    repository: Any, base: Files, change: Files = NONE, deleted: Sequence[str] = (), renamed: Files = NONE
) -> Affected:
    """What is reached when ``change``, ``deleted`` and ``renamed`` follow on ``base``."""
    for name, text in {"trainci.toml": "", **base}.items():
        repository.write(name, text)
    repository.init()
    return then(repository, change, deleted, renamed)


def then(repository: Any, change: Files = NONE, deleted: Sequence[str] = (), renamed: Files = NONE) -> Affected:
    for name, text in change.items():
        repository.write(name, text)
    for name in deleted:
        (repository.root / name).unlink()
    for old, new in renamed.items():
        (repository.root / new).parent.mkdir(parents=True, exist_ok=True)
        repository.git("mv", old, new)
    repository.commit()
    project = config.load(repository.root)
    files = {*find_test_files(repository.root, project.test_globs), *(entry.file for entry in project.registered)}
    compared = git.compare(repository.root, "origin/main", uncommitted=False)
    return find_affected(repository.root, project, sorted(files), compared)


def way(found: Affected, test_id: str = "tests/test_a.py") -> str:
    """How the change reaches the only test that it reaches."""
    assert list(found.tests) == [test_id], found
    return found.tests[test_id].partition(f" reaches {test_id.partition('[')[0]} by ")[2]


@pytest.mark.parametrize(
    ("files", "changed", "expected"),
    [
        pytest.param(
            {"tests/test_a.py": "import lib.a", "lib/__init__.py": "", "lib/a.py": "import lib.b", "lib/b.py": ""},
            "lib/b.py",
            "imports tests/test_a.py → lib/a.py → lib/b.py",
            id="through the repository's packages, to the end",
        ),
        pytest.param(
            {"tests/test_a.py": "import lib.a", "lib/a.py": "from lib import b", "lib/b.py": ""},
            "lib/b.py",
            "imports tests/test_a.py → lib/a.py → lib/b.py",
            id="a namespace package without __init__",
        ),
        pytest.param(
            {"tests/test_a.py": "import pkg.m", "src/pkg/__init__.py": "", "src/pkg/m.py": ""},
            "src/pkg/m.py",
            "imports tests/test_a.py → src/pkg/m.py",
            id="src layout",
        ),
        pytest.param(
            {"tests/test_a.py": "import pkg.m", "src/pkg/m.py": ""},
            "src/pkg/m.py",
            "imports tests/test_a.py → src/pkg/m.py",
            id="src layout without __init__",
        ),
        pytest.param(
            {"tests/test_a.py": "import pkg.m", "python/pkg/__init__.py": "", "python/pkg/m.py": ""},
            "python/pkg/m.py",
            "imports tests/test_a.py → python/pkg/m.py",
            id="packages in any folder",
        ),
        pytest.param(
            {"tests/test_a.py": "import m", "parts/x/pyproject.toml": "", "parts/x/src/m.py": ""},
            "parts/x/src/m.py",
            "imports tests/test_a.py → parts/x/src/m.py",
            id="a project in the project",
        ),
        pytest.param(
            {"tests/test_a.py": "import a.b", "a/__init__.py": "", "a/b.py": ""},
            "a/__init__.py",
            "imports tests/test_a.py → a/__init__.py",
            id="import a.b runs a/__init__",
        ),
        pytest.param(
            {"tests/test_a.py": "import a.b", "a/__init__.py": "", "a/b.py": "from . import c", "a/c.py": ""},
            "a/c.py",
            "imports tests/test_a.py → a/b.py → a/c.py",
            id="from . import",
        ),
        pytest.param(
            {"tests/test_a.py": "import a.b.c", "a/b/c.py": "from ..d.e import f", "a/d/e.py": ""},
            "a/d/e.py",
            "imports tests/test_a.py → a/b/c.py → a/d/e.py",
            id="from .. import",
        ),
        pytest.param(
            {"tests/test_a.py": "import helper", "tests/helper.py": ""},
            "tests/helper.py",
            "imports tests/test_a.py → tests/helper.py",
            id="the test's own folder",
        ),
        pytest.param(
            {"tests/test_a.py": "import lib.x", "tests/lib/x.py": "import helper", "tests/helper.py": ""},
            "tests/helper.py",
            "imports tests/test_a.py → tests/lib/x.py → tests/helper.py",
            id="the test's own folder, from a helper below it",
        ),
        pytest.param(
            {
                "tests/test_a.py": "def f():\n    try:\n        import lib.b as x\n    except ImportError: ...",
                "lib/b.py": "",
            },
            "lib/b.py",
            "imports tests/test_a.py → lib/b.py",
            id="within a function",
        ),
        pytest.param(
            {"tests/test_a.py": "from importlib import import_module\nimport_module('b')", "b.py": ""},
            "b.py",
            "imports tests/test_a.py → b.py",
            id="import_module of one word",
        ),
        pytest.param(
            {"tests/test_a.py": "import importlib\nimportlib.import_module('.c', package='a.b')", "a/b/c.py": ""},
            "a/b/c.py",
            "imports tests/test_a.py → a/b/c.py",
            id="import_module, relative",
        ),
        pytest.param(
            {"tests/test_a.py": "__import__('a.b')", "a/b.py": ""},
            "a/b.py",
            "imports tests/test_a.py → a/b.py",
            id="__import__",
        ),
        pytest.param(
            {"tests/test_a.py": "import_module(f'plugins.{name}')", "plugins/x.py": ""},
            "plugins/x.py",
            "the name plugins.x in tests/test_a.py",
            id="a module that is put in",
        ),
        pytest.param(
            {"tests/test_a.py": "pytest_plugins = ['fixtures']", "tests/fixtures.py": ""},
            "tests/fixtures.py",
            "imports tests/test_a.py → tests/fixtures.py",
            id="pytest_plugins",
        ),
        pytest.param(
            {"tests/test_a.py": "import lib.a", "lib/a.py": "import lib.b\ndef f(:", "lib/b.py": ""},
            "lib/b.py",
            "imports tests/test_a.py → lib/a.py → lib/b.py",
            id="a file that does not parse",
        ),
        pytest.param(
            {"tests/test_a.py": "import lib.a", "lib/a.py": "import lib.b\0", "lib/b.py": ""},
            "lib/b.py",
            "imports tests/test_a.py → lib/a.py → lib/b.py",
            id="a file with NUL bytes",
        ),
        pytest.param(
            {"tests/test_a.py": "", "tests/conftest.py": "import lib.b", "lib/b.py": ""},
            "lib/b.py",
            "tests/conftest.py above it, then imports tests/conftest.py → lib/b.py",
            id="what a conftest.py imports",
        ),
        pytest.param(
            {"tests/test_a.py": "", "tests/__init__.py": ""},
            "tests/__init__.py",
            "tests/__init__.py above it",
            id="the package of the test",
        ),
        pytest.param(
            {"tests/test_a.py": "x = 'slime.rollout.opd.reward_func'", "slime/rollout/opd.py": ""},
            "slime/rollout/opd.py",
            "the name slime.rollout.opd in tests/test_a.py",
            id="a dotted name in a string",
        ),
        pytest.param(
            {
                "tests/test_a.py": "ARGS = '--a b\\n--custom-rm-path slime.rollout.opd:f '",
                "slime/rollout/opd.py": "",
            },
            "slime/rollout/opd.py",
            "the name slime.rollout.opd in tests/test_a.py",
            id="a dotted name within a longer string",
        ),
        pytest.param(
            {
                "tests/test_a.py": "f(train_script='train_async.py')",
                "train_async.py": "import lib.b",
                "lib/b.py": "",
            },
            "lib/b.py",
            "the file name train_async.py in tests/test_a.py, then imports train_async.py → lib/b.py",
            id="a script by its file name, and from there on",
        ),
        pytest.param(
            {
                "tests/test_a.py": "run('cd x && bash scripts/run.sh --fast')",
                "scripts/run.sh": '#!/bin/bash\nsource "$(dirname $0)/more/env.sh"\n',
                "scripts/more/env.sh": "python -m tools.convert\n",
                "tools/convert.py": "",
            },
            "tools/convert.py",
            "the file name scripts/run.sh in tests/test_a.py, then the file name more/env.sh in scripts/run.sh, "
            "then the name tools.convert in scripts/more/env.sh",
            id="shell scripts that run others and modules",
        ),
        pytest.param(
            {"tests/test_a.py": "run([sys.executable, '-m', 'train'])", "train.py": ""},
            "train.py",
            "the name train in tests/test_a.py",
            id="-m in a list of words",
        ),
        pytest.param(
            {"tests/test_a.py": "run('python -m pkg')", "pkg/__main__.py": ""},
            "pkg/__main__.py",
            "the name pkg in tests/test_a.py",
            id="-m of a package",
        ),
        pytest.param(
            {
                "tests/test_a.py": "run('./launch')",
                "launch": "#!/usr/bin/env bash\npython tools/x.py\n",
                "tools/x.py": "",
            },
            "tools/x.py",
            "the file name ./launch in tests/test_a.py, then the file name tools/x.py in launch",
            id="a script without an ending",
        ),
        pytest.param(
            {"tests/test_a.py": "load('configs/a.yaml')", "configs/a.yaml": "rm: slime.rm.f\n", "slime/rm.py": ""},
            "slime/rm.py",
            "the file name configs/a.yaml in tests/test_a.py, then the name slime.rm in configs/a.yaml",
            id="a name in a file of settings",
        ),
        pytest.param(
            {
                "tests/test_a.py": "open(Path(__file__).parent / 'data' / 'x.json')",
                "tests/data/x.json": "",
                "x.json": "",
            },
            "tests/data/x.json",
            "the file name data/x.json in tests/test_a.py",
            id="data beside a test, its path put together",
        ),
        pytest.param(
            {
                "tests/test_a.py": "open(os.path.join(HERE, '..', 'golden', 'x.pt'))",
                "golden/x.pt": "",
                "b/x.pt": "",
            },
            "golden/x.pt",
            "the file name ../golden/x.pt in tests/test_a.py",
            id="data above a test",
        ),
        pytest.param(
            {"tests/test_a.py": "open(here('x.json'))", "tests/data/x.json": "", "other/x.json": ""},
            "tests/data/x.json",
            "the file name x.json in tests/test_a.py",
            id="data beside a test, by a name of several files",
        ),
        pytest.param(
            {"tests/test_a.py": "for p in (HERE / 'golden').glob('*.pt'): ...", "tests/golden/a/x.pt": ""},
            "tests/golden/a/x.pt",
            "the file name golden in tests/test_a.py",
            id="data by its folder",
        ),
        pytest.param(
            {"tests/test_a.py": "f'{ROOT}/data/my file-1.v2.json'", "data/my file-1.v2.json": ""},
            "data/my file-1.v2.json",
            "the file name data/my file-1.v2.json in tests/test_a.py",
            id="a file name with a space, after what is put in",
        ),
        pytest.param(
            {
                "tests/test_a.py": "run(['uv', 'run', 'my-tool', 'train'])",
                "pyproject.toml": "[project.scripts]\nmy-tool = 'pkg.cli:main'\n",
                "src/pkg/cli.py": "import pkg.loop",
                "src/pkg/loop.py": "",
            },
            "src/pkg/loop.py",
            "the command my-tool in tests/test_a.py, then imports src/pkg/cli.py → src/pkg/loop.py",
            id="a command that the project installs",
        ),
        pytest.param(
            {
                "tests/test_a.py": "run('tests/go.sh')",
                "tests/go.sh": "set -e\nSTEPS=2 mytool train \\\n  --steps 2\n",
                "setup.py": "setup(entry_points={'console_scripts': ['mytool=pkg.cli:main']})",
                "pkg/cli.py": "",
            },
            "pkg/cli.py",
            "the file name tests/go.sh in tests/test_a.py, then the command mytool in tests/go.sh",
            id="a command of setup.py, in a shell script",
        ),
    ],
)
def test_a_change_reaches_the_test_that_uses_it(repository: Any, files: Files, changed: str, expected: str) -> None:
    base = {**files, "tests/test_other.py": MAIN, "tests/test_a.py": f"{files['tests/test_a.py']}\n{MAIN}"}
    base.pop("tests/test_other.py") if "above it" in expected else None
    found = affected(repository, base, {changed: files[changed] + "\n# changed\n"})
    assert way(found) == expected
    assert found.notes == ()


@pytest.mark.parametrize(
    ("files", "changed"),
    [
        pytest.param(
            {"tests/test_a.py": "import json", "lib/json.py": ""}, "lib/json.py", id="the standard library"
        ),
        pytest.param(
            {"tests/test_a.py": "import a.x", "a/__init__.py": "", "a/x.py": "import types", "a/types.py": ""},
            "a/types.py",
            id="the standard library, beside a module of its name",
        ),
        pytest.param({"tests/test_a.py": "import libb", "lib/b.py": ""}, "lib/b.py", id="another name"),
        pytest.param({"tests/test_a.py": "# lib.b\n", "lib/b.py": ""}, "lib/b.py", id="a comment"),
        pytest.param({"tests/test_a.py": "'''As in lib.b.'''\n", "lib/b.py": ""}, "lib/b.py", id="a docstring"),
        pytest.param(
            {"tests/test_a.py": "f('config.json')\n", "config.py": ""}, "config.py", id="a file of its name"
        ),
        pytest.param(
            {"tests/test_a.py": "f('x.json')", "a/x.json": "", "b/x.json": ""},
            "a/x.json",
            id="a name of many files",
        ),
    ],
)
def test_what_no_test_uses_reaches_none_and_is_named(repository: Any, files: Files, changed: str) -> None:
    found = affected(repository, {**files}, {changed: files[changed] + "\n# changed\n"})
    assert found.tests == {}
    assert found.notes == (f"1 changed file reaches no test: {changed}.",)


@pytest.mark.parametrize(
    "line",
    ["logging.getLogger('pkg')", "x = {'pkg'}", "'of pkg itself'", "run('pip install pkg')", "import my.pkg"],
)
def test_a_word_that_starts_nothing_is_no_command(repository: Any, line: str) -> None:
    base = {"tests/test_a.py": f"{line}\n{MAIN}", "setup.cfg": "console_scripts =\n  pkg = pkg.cli:main\n"}
    assert not affected(repository, {**base, "pkg/cli.py": ""}, {"pkg/cli.py": "x = 1"}).tests


def test_a_changed_file_has_the_reason_of_its_change_and_a_deleted_one_drops_out(repository: Any) -> None:
    content = {name: f"# {name}\n" * 20 for name in ("b", "c", "d", "e")}
    base = {f"tests/test_{name}.py": text for name, text in content.items()}
    repository_links = {"tests/test_a.py": MAIN, "tests/test_b.py": "x = 1\n"}
    found = affected(
        repository, base, repository_links, ["tests/test_d.py"], {"tests/test_c.py": "tests/test_z.py"}
    )
    assert found.tests == {
        "tests/test_a.py": "added",
        "tests/test_b.py": "modified",
        "tests/test_z.py": "renamed from tests/test_c.py",
    }
    assert found.notes == ("1 changed file reaches no test: tests/test_d.py.",)


@pytest.mark.parametrize(
    ("renamed", "deleted"),
    [
        ({"lib/b.py": "lib/c.py"}, []),
        ({"lib/b.py": "lib/B.py"}, []),
        ({"lib": "library"}, []),
        ({}, ["lib/b.py"]),
    ],
)
def test_what_is_gone_reaches_who_still_uses_it(repository: Any, renamed: Files, deleted: list[str]) -> None:
    text = "# a line that tells it from others\n" * 10
    base = {"tests/test_a.py": "import lib.b\n", "lib/b.py": text}
    assert "imports tests/test_a.py → lib/b.py" in way(affected(repository, base, {}, deleted, renamed))


def test_a_data_file_that_is_gone_reaches_who_still_names_it(repository: Any) -> None:
    base = {"tests/test_a.py": "open('x.json')\n", "tests/deep/x.json": "{}"}
    assert way(affected(repository, base, {}, ["tests/deep/x.json"])) == "the file name x.json in tests/test_a.py"


def test_the_nearest_way_is_told_and_a_long_one_is_shortened(repository: Any) -> None:
    base = {"tests/test_a.py": "import m0\n", "tests/test_b.py": "import m0, m9\n"}
    base |= {f"m{number}.py": f"import m{number + 1}\n" for number in range(10)}
    found = affected(repository, base, {"m10.py": ""})
    assert found.tests["tests/test_a.py"].endswith(
        "by imports tests/test_a.py → m0.py → m1.py → m2.py → … → m10.py"
    )
    assert found.tests["tests/test_b.py"].endswith("by imports tests/test_b.py → m9.py → m10.py")


def test_a_test_that_names_trainci_toml_does_not_use_the_tests_in_it(repository: Any) -> None:
    base = {"tests/test_a.py": "open('trainci.toml')\n", "tests/test_b.py": MAIN}
    found = affected(
        repository, {**base, "trainci.toml": toml(A, '"tests/test_b.py"')}, {"tests/test_b.py": f"{MAIN}#"}
    )
    assert list(found.tests) == ["tests/test_b.py"]


def test_circles_of_imports_end(repository: Any) -> None:
    base = {"tests/test_a.py": "import a\n", "a.py": "import b\n", "b.py": "import a\n", "c.py": "import c\n"}
    assert way(affected(repository, base, {"b.py": "import a, c\n"})) == "imports tests/test_a.py → a.py → b.py"


ENTRIES = """
[suites.opd]
tests = [
  "tests/test_a.py",
  { path = "tests/test_a.py", args = ["--custom-rm-path slime.opd.reward_func"] },
  { path = "tests/test_a.py", args = ["-m", "tool"], env = { HOOK = "slime.hook:f" } },
  { path = "tests/test_a.py", args = ["--config", "conf/a.yaml"], also = ["data/**"] },
]
"""
ENTRY_FILES = {
    "trainci.toml": ENTRIES,
    "tests/test_a.py": MAIN,
    "slime/opd.py": "",
    "slime/hook.py": "import slime.deep\n",
    "slime/deep.py": "",
    "tool.py": "",
    "conf/a.yaml": "",
    "data/x/y.bin": "",
}


@pytest.mark.parametrize(
    ("changed", "arguments", "expected"),
    [
        ("slime/opd.py", "'--custom-rm-path slime.opd.reward_func'", "the name slime.opd in its arguments"),
        ("slime/hook.py", "HOOK=slime.hook:f -m tool", "the name slime.hook in its environment"),
        (
            "slime/deep.py",
            "HOOK=slime.hook:f -m tool",
            "the name slime.hook in its environment, then imports slime/hook.py → slime/deep.py",
        ),
        ("tool.py", "HOOK=slime.hook:f -m tool", "the name tool in its arguments"),
        ("conf/a.yaml", "--config conf/a.yaml", "the file name conf/a.yaml in its arguments"),
        ("data/x/y.bin", "--config conf/a.yaml", "`also` of its entry"),
    ],
)
def test_what_an_entry_names_reaches_that_entry_alone(
    repository: Any, changed: str, arguments: str, expected: str
) -> None:
    found = affected(repository, ENTRY_FILES, {changed: "# changed\nimport slime.deep\n"})
    assert way(found, f"tests/test_a.py[{arguments}]") == expected


def test_a_changed_test_is_selected_with_all_its_variants(repository: Any) -> None:
    found = affected(repository, ENTRY_FILES, {"tests/test_a.py": f"{MAIN}\n"})
    assert len(found.tests) == 4
    assert set(found.tests.values()) == {"modified"}


def toml(*entries: str, suite: str = "") -> str:
    return f"[suites.a]\n{suite}\ntests = [{', '.join(entries)}]\n"


A, B = '"tests/test_a.py"', '{ path = "tests/test_b.py", args = ["--x"] }'


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(toml(A), toml(A, B), {"tests/test_b.py[--x]": "added at trainci.toml:3"}, id="added"),
        pytest.param(
            toml(A, B),
            toml(A, B.replace("]", "], timeout_minutes = 3")),
            {"tests/test_b.py[--x]": "altered at trainci.toml:3"},
            id="altered",
        ),
        pytest.param(
            toml(A, B),
            toml(A, B, suite='image = "new"'),
            {"tests/test_a.py": "altered at trainci.toml:3", "tests/test_b.py[--x]": "altered at trainci.toml:3"},
            id="its suite has another image",
        ),
        pytest.param(toml(A, B), toml(B, A), {}, id="moved"),
        pytest.param(toml(A, B), toml(B), {}, id="removed"),
        pytest.param(toml(A), toml(A, suite='label = "other"'), {}, id="only its label is another"),
        pytest.param("", toml(A), {"tests/test_a.py": "added at trainci.toml:3"}, id="the first"),
    ],
)
def test_entries_that_the_change_adds_or_alters_are_selected(
    repository: Any, before: str, after: str, expected: dict[str, str]
) -> None:
    files = {"trainci.toml": before, "tests/test_a.py": MAIN, "tests/test_b.py": MAIN}
    found = affected(repository, files, {"trainci.toml": after})
    assert found.tests == expected
    assert found.notes == (() if expected else ("1 changed file reaches no test: trainci.toml.",))


def test_entries_whose_former_state_cannot_be_read_are_said_to_be_unseen(repository: Any) -> None:
    files = {"tests/test_a.py": MAIN, "trainci.toml": "[suites"}
    found = affected(repository, files, {"trainci.toml": toml(A)})
    assert (
        found.notes[0] == "trainci.toml as it was cannot be read, so which entries the change alters is not seen."
    )


MAP = (
    toml(A, B)
    + """
[suites.megatron]
tests = ["tests/test_c.py"]

[[affected]]
paths = ["csrc/**"]
suites = ["megatron"]

[[affected]]
paths = ["kernels/*.cu", "other/*"]
tests = ["tests/test_b*.py"]

[[affected]]
paths = ["docs/**", "lib/quiet.py"]
nothing = true
"""
)


@pytest.mark.parametrize(
    ("changed", "test_id", "line"),
    [
        ("csrc/deep/x.cu", "tests/test_c.py", 8),
        ("kernels/x.cu", "tests/test_b.py[--x]", 12),
        ("docs/x.md", "", 0),
        ("lib/quiet.py", "", 0),
    ],
)
def test_the_path_map_says_what_a_path_reaches(repository: Any, changed: str, test_id: str, line: int) -> None:
    files = {f"tests/test_{name}.py": f"import lib.quiet\n{MAIN}" for name in "abc"}
    found = affected(repository, {**files, "trainci.toml": MAP, changed: ""}, {changed: "# changed\n"})
    reason = f"{changed} reaches it by [[affected]] at trainci.toml:{line}"
    assert (found.tests, found.notes) == ({test_id: reason} if test_id else {}, ())


def test_changed_files_that_reach_no_test_are_counted_and_the_first_are_named(repository: Any) -> None:
    found = affected(repository, {}, {f"f{number}.txt": "" for number in range(7)})
    assert found.notes == ("7 changed files reach no test: f0.txt, f1.txt, f2.txt, f3.txt, f4.txt and 2 more.",)


LIMIT = """
[project]
max_changed = 2
[suites.few]
tests = ["tests/test_0.py"]
[suites.most]
label = "run-ci-most"
tests = ["tests/test_0.py", "tests/test_1.py", "tests/test_2.py"]
"""


def test_a_file_that_reaches_too_many_tests_gives_a_label_instead(repository: Any) -> None:
    files = {f"tests/test_{number}.py": f"import lib, one\n{MAIN}" for number in range(4)}
    files["tests/test_1.py"] = f"import lib, two\n{MAIN}"
    files |= {"trainci.toml": LIMIT, "lib.py": "", "two.py": "", "one.py": ""}
    found = affected(
        repository, files, {"lib.py": "x = 1\n", "two.py": "x = 1\n", "tests/test_3.py": f"import lib\n{MAIN}"}
    )
    assert list(found.tests) == ["tests/test_3.py", "tests/test_1.py"]
    (note,) = found.notes
    assert note == (
        "lib.py reaches more than 2 tests (project → max_changed), 4 in all, which are not selected for it: add "
        "run-ci-most (holds 3 of them) or run-ci-few (holds 1 of them) instead."
    )


def test_a_file_that_reaches_as_many_tests_as_it_may_selects_them(repository: Any) -> None:
    files = {f"tests/test_{number}.py": f"import lib\n{MAIN}" for number in range(2)}
    found = affected(
        repository, {**files, "trainci.toml": LIMIT.partition("[suites")[0], "lib.py": ""}, {"lib.py": "#\n"}
    )
    assert len(found.tests) == 2 and found.notes == ()


def test_the_target_of_a_link_reaches_the_link(repository: Any) -> None:
    """A test, a helper and a folder of helpers that are links."""
    for link, target in {
        "tests/test_a.py": "../real/case.py",
        "tests/helper.py": "../real/help.py",
        "tests/lib": "../real/lib",
    }.items():
        path = repository.root / link
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target)
    files = {"real/case.py": MAIN, "real/help.py": "", "real/lib/deep.py": "", "tests/test_b.py": "import helper"}
    found = affected(repository, {**files, "tests/test_c.py": "import lib.deep"}, {"real/case.py": f"{MAIN}#\n"})
    assert way(found) == "the link tests/test_a.py"
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    expected = "imports tests/test_b.py → tests/helper.py, then the link tests/helper.py"
    assert way(then(repository, {"real/help.py": "#\n"}), "tests/test_b.py") == expected
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    expected = "imports tests/test_c.py → tests/lib/deep.py, then the link tests/lib"
    assert way(then(repository, {"real/lib/deep.py": "#\n"}), "tests/test_c.py") == expected


def test_a_link_that_leads_elsewhere_now_reaches_who_goes_through_it(repository: Any) -> None:
    files = {"one/m.py": "", "two/m.py": "", "tests/test_a.py": "import lib.m"}
    repository.write("lib")
    (repository.root / "lib").unlink()
    (repository.root / "lib").symlink_to("one")
    for name, text in {"trainci.toml": "", **files}.items():
        repository.write(name, text)
    repository.init()
    (repository.root / "lib").unlink()
    (repository.root / "lib").symlink_to("two")
    assert way(then(repository)) == "imports tests/test_a.py → lib/m.py"


def test_links_in_circles_and_out_of_the_repository_end(repository: Any, tmp_path: Any) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("import lib\n")
    for link, target in {"loop": ".", "a": "b", "b": "a", "out.py": outside, "deep/up": ".."}.items():
        (repository.root / link).parent.mkdir(exist_ok=True)
        (repository.root / link).symlink_to(target)
    found = affected(repository, {"tests/test_a.py": "import lib, out\n", "lib.py": ""}, {"lib.py": "#\n"})
    assert way(found) == "imports tests/test_a.py → lib.py"


def with_submodule(repository: Any, other: Any, files: Files) -> None:
    other.write("pkg/__init__.py")
    other.write("pkg/m.py", "1\n")
    other.init()
    for name, text in {"trainci.toml": "", **files}.items():
        repository.write(name, text)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.root), "tests/sub")
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    repository.git("-C", "tests/sub", "commit", "--quiet", "--allow-empty", "--message", "bump")


def test_a_submodule_that_was_bumped_reaches_who_uses_its_files(repository: Any, new_repository: Any) -> None:
    with_submodule(repository, new_repository(), {"tests/test_a.py": "import pkg.m", "tests/test_b.py": MAIN})
    found = then(repository)
    assert way(found).startswith("imports tests/test_a.py → tests/sub/pkg/")
    assert found.notes == ()


def test_a_submodule_that_was_bumped_reaches_the_tests_that_it_holds(repository: Any, new_repository: Any) -> None:
    other = new_repository()
    other.write("checks/test_own.py", "def test_a(): pass")
    suite = '[suites.s]\ntests = ["tests/sub/checks"]\n'
    with_submodule(repository, other, {"trainci.toml": suite, "tests/test_b.py": MAIN})
    found = then(repository)
    assert found.tests == {"tests/sub/checks": "is in the submodule tests/sub, which changed"}
    assert found.notes == ()


def test_a_submodule_that_is_not_checked_out_is_said_to_be_unseen(repository: Any, new_repository: Any) -> None:
    with_submodule(repository, new_repository(), {"tests/test_a.py": "import sub.pkg.m"})
    then(repository)
    repository.git("submodule", "--quiet", "deinit", "--force", "--all")
    found = then(repository)
    assert found.tests == {}
    assert "the submodule tests/sub changed and is not checked out here" in found.notes[0]
    assert found.notes[1] == "1 changed file reaches no test: tests/sub."


HOSTILE = {
    "a chain of attributes": "x = a" + ".b" * 6000,
    "nested parentheses": "(" * 5000,
    "a long sum": "x = " + "1 + " * 20_000 + "1",
    "a long path": "x = a" + " / 'b'" * 700,
    "deep lists": "[" * 150 + "]" * 150,
    "minus signs": "-" * 50_000 + "1",
    "a coding that there is not": "# coding: nothing\n",
    "bytes that are no text": "\udcff\udcfe",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_source_is_read_as_far_as_it_goes(repository: Any, source: str) -> None:
    repository.write("tests/test_a.py", f"import lib\n{source}\n".encode("utf-8", "surrogateescape"))
    found = affected(repository, {"lib.py": ""}, {"lib.py": "#\n"})
    assert way(found) == "imports tests/test_a.py → lib.py"


def test_a_source_that_is_too_large_is_said_to_be_unseen(repository: Any) -> None:
    files = {"tests/test_a.py": "import big\n", "big.py": "import lib\n" + "# x\n" * 2**19, "lib.py": ""}
    found = affected(repository, files, {"lib.py": "#\n"})
    assert found.tests == {}
    assert found.notes[-1] == "big.py is larger than 1 MiB, so what it uses is not seen."


def test_a_large_source_is_read_as_text(repository: Any) -> None:
    many = "from lib import (\n    one,  # why\n    two,\n)\n"
    files = {"tests/test_a.py": "import big\n", "big.py": many + "# x\n" * 2**17 + "#", "lib/two.py": ""}
    assert (
        way(affected(repository, files, {"lib/two.py": "#\n"})) == "imports tests/test_a.py → big.py → lib/two.py"
    )


def test_a_pipe_that_is_no_file_is_not_waited_for(repository: Any) -> None:
    base = {"tests/test_a.py": "import lib\n", "lib.py": "", "pipe.py": ""}
    affected(repository, base)
    (repository.root / "pipe.py").unlink()
    subprocess.run(["mkfifo", str(repository.root / "pipe.py")], check=True)
    repository.write("lib.py", "#\n")
    project = config.load(repository.root)
    compared = git.compare(repository.root, "origin/main", uncommitted=True)
    assert "tests/test_a.py" in find_affected(repository.root, project, ["tests/test_a.py"], compared).tests


def test_nothing_of_the_repository_is_run_or_imported(repository: Any) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nimport lib\n"
    found = affected(
        repository, {"tests/test_a.py": trap, "lib.py": trap, "conftest.py": trap}, {"lib.py": f"{trap}#"}
    )
    assert list(found.tests) == ["tests/test_a.py"]
    assert not list(repository.root.rglob("ran"))


SHAPES = """
[suites.a]
env = { HOOK = "lib.hook.f" }
tests = [
  { path = "tests/folder" },
  { name = "module", module = "tools.smoke" },
  { name = "words", command = ["bash", "scripts/x.sh"] },
  { name = "steps", steps = ["tests/save.py", { command = ["python", "tools/resume.py"] }] },
  { path = "tests/node.py::test_one" },
]
"""


@pytest.mark.parametrize(
    ("changed", "test_ids"),
    [
        ("tests/folder/deep/test_x.py", ["tests/folder"]),
        ("lib/x.py", ["tests/folder"]),
        ("tools/smoke.py", ["module"]),
        ("scripts/x.sh", ["words"]),
        ("tests/save.py", ["steps"]),
        ("tools/resume.py", ["steps"]),
        ("tests/node.py", ["tests/node.py::test_one"]),
        ("lib/hook.py", ["tests/folder", "module", "words", "steps", "tests/node.py::test_one"]),
    ],
)
def test_a_test_of_any_shape_is_reached_by_what_it_starts(
    repository: Any, changed: str, test_ids: list[str]
) -> None:
    files = {
        "tests/folder/deep/test_x.py": "import lib.x\ndef test_x(): ...\n",
        "tests/node.py": "def test_one(): ...\n",
    }
    files |= dict.fromkeys(("lib/x.py", "lib/hook.py", "tools/smoke.py", "scripts/x.sh", "tools/resume.py"), "")
    files |= {"tests/save.py": MAIN.replace("pass", "run()"), "trainci.toml": SHAPES}
    found = affected(repository, files, {changed: files[changed] + "\n# changed\n"})
    assert sorted(found.tests) == sorted(test_ids)
    assert found.notes == ()
    assert not any("reaches  by" in reason for reason in found.tests.values()), "what it reaches has a name"


def test_a_changed_test_that_a_sparse_checkout_leaves_out_is_refused(repository: Any) -> None:
    """What is not there is selected by nothing, so the run would be green without it."""
    then_now = {"tests/test_a.py": MAIN, "tests/test_b.py": MAIN, "docs/index.md": ""}
    affected(repository, then_now, {name: f"{text}# changed" for name, text in then_now.items()})
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/docs/")
    assert list(then(repository, {"lib/more.py": ""}).tests) == ["tests/test_a.py", "tests/test_b.py"]
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/docs/", "!/tests/test_b.py")
    with pytest.raises(UsageError, match=r"not checked out here, .*: tests/test_b\.py\. In a sparse"):
        then(repository, {"lib/again.py": ""})
