"""What a repository holds is somebody else's: init makes a proposal or a comment of anything, and runs nothing."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from proposals import proposed, written
from support import examples

from trainci.adopt.placed import NotYaml, load_yaml
from trainci.adopt.proposal import Entry, Note, Place, Project, Proposal, Suite
from trainci.adopt.shell.script import commands
from trainci.adopt.sources.template import NotConstant, Template
from trainci.adopt.toml import render
from trainci.adopt.tree import repository_tree

pytestmark = pytest.mark.slow


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TEMPLATE = ".github/workflows/ci.yml.j2"
_WORKFLOW = ".github/workflows/ci.yml"
_MANY = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


_PIECES = st.sampled_from(
    [
        *(
            "pytest",
            "tests",
            "tests/test_a.py",
            "bash",
            "run.sh",
            "python3",
            "-m",
            "torchrun",
            "--nproc_per_node",
            "4",
        ),
        *(
            "A=1",
            "export",
            "cd",
            "a b",
            "'",
            '"',
            "\\",
            "\n",
            "&&",
            "||",
            "|",
            ";",
            "&",
            "(",
            ")",
            "{",
            "}",
            "[[",
            "]]",
        ),
        *(
            "if",
            "then",
            "fi",
            "for",
            "do",
            "done",
            "case",
            "esac",
            "$(",
            "${",
            "$A",
            "`",
            "<<EOF",
            "EOF",
            "<(",
            ">",
            "#",
        ),
        *(
            "${{ matrix.a }}",
            "${{ secrets.X }}",
            "docker",
            "run",
            "-v",
            "-lc",
            "make",
            "uv",
            "-",
            "--",
            "=",
            "~",
            "*",
        ),
    ]
)
_SCRIPTS = st.lists(_PIECES, max_size=25).map(" ".join)


@_MANY
@given(text=st.one_of(st.text(max_size=300), _SCRIPTS))
def test_any_script_gives_commands(text: str) -> None:
    for command in commands(text, 1):
        assert isinstance(command.raw, str)


@_MANY
@given(script=_SCRIPTS, expression=st.text(max_size=30), name=st.text(max_size=20))
def test_any_script_and_condition_in_a_workflow_give_a_proposal(script: str, expression: str, name: str) -> None:
    quoted = [
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for text in (script, expression, name)
    ]
    workflow = (
        f'on: pull_request\njobs:\n  a:\n    if: "{quoted[1]}"\n    runs-on: "${{{{ {quoted[1]} }}}}"\n'
        f'    env: {{"{quoted[2]}": "{quoted[1]}"}}\n    strategy: {{matrix: {{a: [1, "{quoted[2]}"]}}}}\n'
        f'    steps:\n      - name: "{quoted[2]}"\n        run: "{quoted[0]}"\n      - run: pytest tests\n'
    )
    written({_WORKFLOW: workflow, "tests/test_a.py": "def test_a(): pass\n"})


@_MANY
@given(
    text=st.one_of(
        st.text(max_size=200),
        st.text(st.sampled_from(list("abj:-[]{}&*!|>\"'#%@ \n\t?,<~01")), max_size=120).map(
            lambda text: f"jobs:\n{text}"
        ),
    )
)
def test_any_yaml_gives_a_proposal(text: str) -> None:
    for file in (_WORKFLOW, ".buildkite/pipeline.yml"):
        written({file: text})


_JINJA = st.lists(
    st.sampled_from(
        [
            *(
                "<% set a = [{'test_file': 'test_a.py'}] %>",
                "<% set a = a + a %>",
                "<% for k, v in a.items() %>",
                "<< a >>",
            ),
            *(
                "<% for x in a %>",
                "<% endfor %>",
                "<% if a %>",
                "<% else %>",
                "<% endif %>",
                "<< a | tojson(indent=2) >>",
            ),
            *(
                "<< a | indent(99) >>",
                "<% set b = {'j': {'tests': a}} %>",
                "<< b.j.tests >>",
                "<< self >>",
                "\n",
                "jobs:",
            ),
            *(
                "<< ''.__class__.__mro__ >>",
                "<% include 'x' %>",
                "<% macro m() %>",
                "<% endmacro %>",
                "<< 9 ** 9 >>",
                "x: y",
            ),
            *(
                "<< a[0] >>",
                "<< a[99] >>",
                "<< a.b.c >>",
                "<< a ~ a >>",
                "<< 'x' | int >>",
                "<%",
                "%>",
                "<<",
                "{{ a }}",
            ),
        ]
    ),
    max_size=14,
).map("\n".join)


@_MANY
@given(text=st.one_of(_JINJA, st.text(max_size=200)))
def test_any_template_gives_a_proposal(text: str) -> None:
    written({_TEMPLATE: text, "tests/test_a.py": ""})


@_MANY
@given(
    text=st.text(max_size=300),
    name=st.sampled_from(["pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", "Makefile"]),
)
def test_any_configuration_gives_a_proposal(text: str, name: str) -> None:
    for head in ("", "[tool.pytest.ini_options]\n", "[pytest]\n", "[tool:pytest]\n", "test:\n\t"):
        written(
            {
                name: head + text,
                "tests/test_a.py": "",
                _WORKFLOW: "on: push\njobs: {a: {steps: [{run: make test}]}}",
            }
        )


_ODD = '\ud800\x00\x7f"\\\n\u2028'
_TEXTS = st.text(st.characters(exclude_categories=()) | st.sampled_from(list(_ODD)), max_size=12)
_ENV = st.dictionaries(_TEXTS, _TEXTS, max_size=2).map(lambda made: tuple(made.items()))
_ENTRIES = st.builds(
    Entry,
    path=_TEXTS,
    command=st.lists(_TEXTS, max_size=3).map(tuple),
    args=st.lists(_TEXTS, max_size=3).map(tuple),
    env=_ENV,
    num_gpus=st.none() | st.integers(0, 1024),
    notes=st.builds(Note, _TEXTS, st.builds(Place, _TEXTS, st.integers(0, 9))).map(lambda note: (note,)),
)


def _written(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= ch <= "\udfff" else ch for ch in text)


@_MANY
@given(entries=st.lists(_ENTRIES, max_size=3), description=_TEXTS, env=_ENV)
@example(entries=[Entry(path=_ODD, notes=(Note(_ODD, Place(_ODD, 1)),))], description=_ODD, env=((_ODD, _ODD),))
def test_what_is_written_parses_to_the_values_of_the_proposal(
    entries: list[Entry], description: str, env: Any
) -> None:
    suite = Suite("s", description=description, env=env, tests=tuple(entries))
    text = render(Proposal(Project(base="main"), (suite,)))
    text.encode()  # no half of a surrogate pair
    table = tomllib.loads(text)["suites"]["s"]
    assert table.get("description", "") == _written(description)
    assert len(table.get("env", {})) == len({_written(name) for name, _ in env})
    for entry, made in zip(entries, table.get("tests", []), strict=True):
        made = {"path": made} if isinstance(made, str) else made
        assert made.get("path", "") == _written(entry.path)
        assert made.get("command", []) == [_written(word) for word in entry.command]
        assert made.get("args", []) == [_written(word) for word in entry.args]
        assert made.get("num_gpus") == entry.num_gpus


@pytest.mark.parametrize(
    "source",
    [
        "<% set a = 'x' %>" + "<% set a = a ~ a %>" * 60 + "<< a >>",
        "<% set a = [1] %>" + "<% set a = a + a %>" * 60,
        "<% set a = [1] %>" + "<% set a = [a, a] %>" * 60 + "<< a | tojson >>",
        "<% for a in x %>" * 500,
        "<% set a = " + "(" * 5000 + " %>",
        "<% set x = [" + "1," * 400 + "] %>" + "<% for a in x %>" * 4 + "a" + "<% endfor %>" * 4,
    ],
)
def test_a_template_takes_no_more_than_its_bounds(source: str) -> None:
    # Of the processor: a busy host is slow, and no fault of the template.
    begun = time.process_time()
    with pytest.raises(NotConstant):
        Template(source)
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "[" * 50_000,
        '"\\UFFFFFFFF"',
    ],
    ids=["aliases", "depth", "character"],
)
def test_yaml_takes_no_more_than_its_bounds(text: str) -> None:
    with pytest.raises(NotYaml):
        load_yaml(text)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "pytest tests -k {}",
            "pip install x{}",
            "pytest tests || true",
            "A{}=$HOME",
            "export A{}=1",
            "make test",
        ),
        *("echo $(((((((", "if true; then", "bash -c '$(", "$(", "${{", "{", "a() {"),
    ],
)
def test_a_long_script_is_read_in_time_and_gives_no_traceback(line: str) -> None:
    body = "".join(f"          {line.replace('{}', str(number), 1)}\n" for number in range(1500))
    workflow = f"on: push\njobs:\n  test:\n    steps:\n      - run: |\n          pytest tests\n{body}"
    begun = time.process_time()
    written({_WORKFLOW: workflow, "tests/test_a.py": "", "Makefile": "test:\n" + "\tpytest tests\n" * 2})
    assert time.process_time() - begun < 60


def test_a_script_that_cannot_be_read_is_said_when_it_runs_tests() -> None:
    files = {_WORKFLOW: "on: push\njobs: {a: {steps: [{run: 'pytest \"tests'}]}}\n", "tests/test_a.py": ""}
    proposal = proposed(files)
    assert [note.text for note in proposal.left] == ['a quote or bracket is never closed: pytest "tests']


def test_init_runs_nothing_of_the_repository(repository: Any) -> None:
    trap = repository.root / "ran"
    run = f'python -c \'open("{trap}", "w")\''
    step = f"      - run: |\n          $({run})\n          A=$({run}) pytest tests\n          make test\n"
    repository.write(_WORKFLOW, f"on: push\njobs:\n  t:\n    runs-on: x\n    steps:\n{step}")
    template = ".github/workflows/other.yml.j2"
    repository.write(template, "<% set x = cycler.__init__.__globals__.os.popen('touch ran') %>\n")
    repository.write(
        "tests/test_a.py", f'open("{trap}", "w")\nregister_ci(suite=open("{trap}", "w"))\nCI_SUITES = ["a"]\n'
    )
    repository.write("Makefile", f"test:\n\t{run}\n")
    repository.write("tests/conftest.py", f'open("{trap}", "w")\n')
    assert repository.trainci("init").code == 0
    assert not trap.exists()
    assert f"{template}:1" in (repository.root / "trainci.toml").read_text()


def test_no_link_is_followed_and_nothing_waits(repository: Any, tmp_path: Path) -> None:
    (tmp_path / "secret.yml").write_text(
        "on: push\njobs: {t: {runs-on: x, steps: [{run: pytest secret/word.py}]}}\n"
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_elsewhere.py").write_text("def test_it(): pass\n")
    repository.write("tests/test_a.py", "def test_it(): pass\n")
    repository.write(_WORKFLOW, "on: push\n")
    (repository.root / ".github/workflows/secret.yml").symlink_to(tmp_path / "secret.yml")
    (repository.root / "elsewhere").symlink_to(tmp_path / "tests")
    os.mkfifo(repository.root / ".github/workflows/pipe.yml")
    tree = repository_tree(repository.root)
    assert tree.files == (_WORKFLOW, "tests/test_a.py")
    assert tree.read(".github/workflows/secret.yml") == ""
    assert tree.read(".github/workflows/pipe.yml") == ""


def test_a_file_beyond_its_bound_is_not_read(repository: Any) -> None:
    repository.write("small.yml", "a" * (1 << 20))
    repository.write("large.yml", "a" * ((1 << 20) + 1))
    tree = repository_tree(repository.root)
    assert (len(tree.read("small.yml")), tree.read("large.yml")) == (1 << 20, "")


_OTHERS = [
    ".gitlab-ci.yml", ".circleci/config.yml", "tox.ini", "noxfile.py", "Makefile", "tests/run_suite.py",
    "tests/recipes/a.yaml", "setup.cfg",
]  # fmt: skip
_WORDS = st.sampled_from(
    [
        *(
            "script: ",
            "jobs:",
            "steps:",
            "extends: ",
            "- run: ",
            "pytest tests",
            "include: ",
            "[testenv]",
            "commands = ",
        ),
        *(
            "test:",
            "  ",
            "\n",
            "\t",
            "{posargs}",
            "<<: *a",
            "&a ",
            "- ",
            "products:",
            "spec:",
            "parallel:",
            "matrix:",
        ),
        *(
            "suites = {",
            "'a': ['tests/a.py']",
            "}",
            "import nox",
            "@nox.session",
            "def f(session):",
            "session.run('a')",
        ),
        *(
            "workflows:",
            "commands:",
            "{x}",
            "}}",
            "!reference [a, script]",
            "[",
            "]",
            '"',
            "$X",
            "%(a)s",
            "\0",
            "é",
        ),
    ]
)


@_MANY
@given(st.sampled_from(_OTHERS), st.lists(_WORDS, max_size=30).map("".join))
def test_the_files_of_any_ci_give_a_proposal_whatever_they_hold(file: str, text: str) -> None:
    written({file: text, "tests/a.py": "def test_a(): pass\n"})


_CALLS = "".join(f"g{n}:\n" + f"\tmake g{n + 1}\n" * 40 for n in range(9))
_EXTENDS = "".join(f".a{n}: {{extends: [{', '.join([f'.a{n + 1}'] * 30)}]}}\n" for n in range(30))
_REFERENCES = "".join(
    f".a{n}:\n  script: [{', '.join([f'!reference [.a{n + 1}, script]'] * 30)}]\n" for n in range(30)
)
_COMMANDS = "commands:\n" + "".join(
    f"  c{n}: {{steps: [{', '.join([f'c{n + 1}: {{}}'] * 30)}]}}\n" for n in range(9)
)


@pytest.mark.parametrize(
    "files",
    [
        {".gitlab-ci.yml": f"{_EXTENDS}t: {{extends: .a0, script: [pytest tests]}}\n"},
        {".gitlab-ci.yml": f"{_REFERENCES}t: {{script: [!reference [.a0, script]]}}\n"},
        {".gitlab-ci.yml": "include: '/*.yml'\nt: {script: [pytest tests]}\n", "b.yml": "include: '/*.yml'\n"},
        {".gitlab-ci.yml": "t: {extends: t, script: [pytest tests]}\n"},
        {".circleci/config.yml": f"{_COMMANDS}jobs: {{t: {{steps: [c0: {{}}]}}}}\n"},
        {"Makefile": _CALLS, _WORKFLOW: "on: push\njobs: {t: {steps: [{run: make g0}]}}\n"},
        {"Makefile": "test:\n\tmake test\n"},
    ],
    ids=["extends", "references", "includes", "itself", "commands", "goals", "own goal"],
)
def test_what_names_itself_or_grows_is_read_in_time(files: dict[str, str]) -> None:
    started = time.process_time()
    written(files)
    assert time.process_time() - started < 20


@pytest.mark.parametrize("array", ["(<<)", "(#'\n')"], ids=["here document", "comment"])
def test_an_array_that_cannot_be_read_is_a_script_that_cannot(array: str) -> None:
    (command,) = commands(f"pytest tests\ntests={array}\npytest $tests", 7)
    assert command.trouble == "a quote or bracket is never closed" and command.line >= 8


@pytest.mark.parametrize(
    ("first", "line", "last"),
    [
        ("a=words", "a=$a$a", "pytest $a"),
        ("a=words", "a+=$a", "pytest $a"),
        ("a=words", "export a=$a$a", "pytest $a"),
        ("a=(words)", 'a+=("${a[@]}")', 'pytest "${a[@]}"'),
        (f"a={'w' * 9000}", "b+=$a", "pytest $b"),
        (f"a={'w' * 9000}\nb=()", "b+=($a)", 'pytest "${b[@]}"'),
    ],
)
def test_a_variable_that_grows_with_each_line_is_left_to_a_shell(first: str, line: str, last: str) -> None:
    *_, command = commands("\n".join([first, *[line] * 14, last]), 1)
    assert command.words[0] == "pytest" and command.open
    assert sum(map(len, command.words)) + sum(len(value or "") for _, value in command.env) < 100_000


@pytest.mark.parametrize(
    ("command", "file"),
    [("pdm run unit", "pyproject.toml"), ("tox -e unit", "tox.toml"), ("pixi run unit", "pixi.toml")],
)
def test_a_toml_file_whose_number_python_refuses_names_no_script(command: str, file: str) -> None:
    """Such a file is refused with another error than one that is no TOML."""
    workflow = f"on: push\njobs: {{t: {{steps: [{{run: {command}}}, {{run: pytest tests}}]}}}}\n"
    made = written({file: f"a = {'9' * 5000}\n", _WORKFLOW: workflow, "tests/test_a.py": ""})
    assert {"path": "tests", "runner": "pytest"} in made["suites"]["t"]["tests"]


@pytest.mark.parametrize(
    ("command", "file", "head"),
    [
        ("pdm run unit", "pyproject.toml", "[tool.pdm.scripts]\nunit = 'pytest tests'\n[x]\n"),
        ("tox -e unit", "tox.ini", "[testenv:unit]\ncommands = pytest tests\n[x]\n"),
        ("nox -s unit", "noxfile.py", "@nox.session\ndef unit(session):\n    session.run('pytest', 'tests')\n"),
    ],
)
def test_what_names_scripts_is_parsed_once_however_often_it_is_asked(command: str, file: str, head: str) -> None:
    more = "".join(f"k{number} = 'a'\n" for number in range(4000))
    run = "".join(f"          {command}\n" for _ in range(200))
    workflow = f"on: push\njobs:\n  t:\n    steps:\n      - run: |\n{run}"
    started = time.process_time()
    made = written({file: head + more, _WORKFLOW: workflow, "tests/test_a.py": ""})
    assert made["suites"]["t"]["tests"]
    assert time.process_time() - started < 3


_TOX = "[testenv:test]\ncommands = pytest {[x]a}\n[x]\n"
_POE = "[tool.poe.tasks]\n"


@pytest.mark.parametrize(
    ("command", "file", "text"),
    [
        ("make test", "Makefile", f"A={'$(B)' * 40}\nB={'$(C)' * 40}\nC={'w' * 99}\ntest:\n\tpytest $(A)\n"),
        ("tox -e test", "tox.ini", f"{_TOX}a={'{[x]b}' * 40}\nb={'{[x]c}' * 40}\nc={'w' * 99}\n"),
        ("poe test", "pyproject.toml", f"{_POE}test = {['b'] * 12}\nb = {['c'] * 12}\nc = 'pytest a'\n"),
        ("just test", "justfile", f'a := "{"w" * 900}"\ntest:\n    pytest {"{{a}}" * 900}\n'),
    ],
)
def test_a_task_whose_commands_grow_is_left_to_its_tool(command: str, file: str, text: str) -> None:
    workflow = f"on: push\njobs: {{t: {{steps: [{{run: {command}}}]}}}}\n"
    (entry,) = written({file: text, _WORKFLOW: workflow, "tests/test_a.py": ""})["suites"]["t"]["tests"]
    assert entry["command"] == command.split()


def test_a_glob_is_looked_up_once_however_many_tests_name_it() -> None:
    files = dict.fromkeys([f"src/a{number % 300}/b{number}.py" for number in range(30_000)], "")
    run = "".join(f"          pytest tests/test_*.py -k a{number}\n" for number in range(200))
    workflow = f"on: push\njobs:\n  t:\n    steps:\n      - run: |\n{run}"
    started = time.process_time()
    made = written({**files, _WORKFLOW: workflow, "tests/test_a.py": ""})
    assert len(made["suites"]["t"]["tests"]) == 200
    assert time.process_time() - started < 2


@pytest.mark.parametrize(("jobs", "given"), [(6, "x"), (1, "${{ inputs.a }}" * 50)], ids=["jobs", "inputs"])
def test_called_workflows_that_grow_are_left(jobs: int, given: str) -> None:
    head = "on: {workflow_call: {inputs: {a: {type: string}}}}\njobs:\n"
    files = {
        _WORKFLOW: "on: push\njobs: {test: {uses: ./.github/workflows/w0.yml, with: {a: '${{ github.sha }}'}}}\n"
    }
    for depth in range(4):
        call = f"{{uses: ./.github/workflows/w{depth + 1}.yml, with: {{a: '{given}'}}}}"
        files[f".github/workflows/w{depth}.yml"] = head + "".join(f"  j{n}: {call}\n" for n in range(jobs))
    files[".github/workflows/w4.yml"] = f"{head}  z: {{steps: [{{run: 'pytest tests -k ${{{{ inputs.a }}}}'}}]}}\n"
    files["tests/test_a.py"] = ""
    started = time.process_time()
    text = render(proposed(files))
    assert time.process_time() - started < 3
    assert "the job test runs no test that could be read: it calls ./.github/workflows/w0.yml" in text
    assert len(text) < 10_000


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_config_that_is_no_file_is_refused_and_never_read(repository: Any, kind: str) -> None:
    target = repository.root / "trainci.toml"
    make = {
        "pipe": lambda: os.mkfifo(target),
        "device": lambda: target.symlink_to("/dev/zero"),
        "folder": target.mkdir,
    }
    make[kind]()
    repository.write("tests/test_a.py", "def test_a(): pass\n")
    said = repository.trainci("init")
    assert said.code == 2 and "trainci.toml is there, and is no file" in said.err
