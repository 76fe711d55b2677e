from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import examples

from trainci import config
from trainci.config import github_values
from trainci.errors import UsageError
from trainci.model.project import Project
from trainci.model.tests import Entry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SCHEMA = Path(__file__).parent.parent / "docs" / "trainci.schema.json"


def _load(repository: Any, text: str | bytes) -> Project:
    repository.write("trainci.toml", text)
    return config.load(repository.root)


def _faults(repository: Any, text: str | bytes) -> list[str]:
    with pytest.raises(UsageError) as caught:
        _load(repository, text)
    return str(caught.value).split("\n")


def test_everything_has_a_default(repository: Any) -> None:
    project = _load(repository, "")
    assert project.test_globs == ("tests/test_*.py", "tests/plugin_contracts/test_*.py")
    assert (project.base, project.num_gpus, project.max_gpus, project.timeout) == ("main", None, 8, 3600.0)
    assert (project.image, project.install, project.suites, project.config_file) == ("", "", (), "trainci.toml")


def test_every_key_of_a_suite_and_an_entry_arrives(repository: Any) -> None:
    repository.write("tests/test_a.py")
    project = _load(
        repository,
        """
        [project]
        tests = ["./tests//*.py"]
        base = "trunk"
        default_gpus = 1
        max_gpus = 16
        image = "one"
        install = "pip install -e ."
        timeout_minutes = 1.5
        [suites.short]
        label = "go"
        description = "words"
        always = true
        image = "two"
        timeout_minutes = 2
        tests = [
          "tests/test_a.py",
          { path = "tests//test_a.py", args = ["-x", "a b"], env = {A="1", B=2}, num_gpus = 3, timeout_minutes = 4},
        ]
        [suites.every]
        tests = "all"
        [suites.changed]
        select = "changed"
        """,
    )
    assert (project.test_globs, project.base, project.num_gpus, project.max_gpus) == (
        ("tests/*.py",),
        "trunk",
        1,
        16,
    )
    assert (project.image, project.install, project.timeout) == ("one", "pip install -e .", 90.0)
    short, every, changed = project.suites
    assert (short.label, short.description, short.always, short.image) == ("go", "words", True, "two")
    assert (short.timeout, short.where) == (120.0, "trainci.toml:10")
    assert short.entries == (
        Entry("tests/test_a.py", where="trainci.toml:17"),
        Entry(
            "tests/test_a.py",
            ("-x", "a b"),
            env=(("A", "1"), ("B", "2")),
            num_gpus=3,
            timeout=240.0,
            where="trainci.toml:18",
        ),
    )
    assert every.all_tests and not every.changed and every.label == "run-ci-every"
    assert changed.changed and not changed.all_tests


def test_all_faults_are_reported_at_once_each_with_its_line_and_sorted_by_it(repository: Any) -> None:
    faults = _faults(
        repository,
        '[project]\nmax_gpus = "8"\nbase = 1\n[suites.a]\ntests = [\n "x.py",\n "y.py",\n]\nlabel = true\n',
    )
    assert faults == [
        "trainci.toml:2: project → max_gpus: must be a whole number",
        "trainci.toml:3: project → base: must be a string",
        "trainci.toml:6: suites.a → tests[0] → path: x.py does not exist",
        "trainci.toml:7: suites.a → tests[1] → path: y.py does not exist",
        "trainci.toml:9: suites.a → label: must be a string",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[suites]\ntests = 5", "trainci.toml:2: suites.tests: must be a table"),
        ('[suites."list[x"]\nfoo = 1', "trainci.toml:1: suites.list[x: a suite's name may hold"),
        ("a = 1", "trainci.toml:1: a: unknown key; known are project, "),
        ("[verdicts]\nretry = 1", "trainci.toml:2: verdicts → retry: unknown key; known are off, rules, retries"),
        (
            "[[verdicts.rules]]\nname = 'a'\npattern = 'b'\nmeaning = 'c'\nblame = 'code'\nkinds = 1",
            "trainci.toml:6: verdicts → rules[0] → kinds: unknown key; known are name, pattern, meaning",
        ),
        (
            '[[quarantine]]\ntest = "a"\nowner = "b"\nreason = "c"\nuntil = 2026-12-31\nwho = 1',
            "trainci.toml:6: quarantine[0] → who: unknown key; known are test, owner, reason, ticket, until",
        ),
        (
            "[suites.tests]\nretries = { machines = 1 }",
            "trainci.toml:2: suites.tests → retries → machines: unknown key; known are machine, others",
        ),
        ('[project]\n"[key]" = 1', "trainci.toml:2: project → [key]: unknown key; known are tests, "),
        ("a = " + "1" * 5000, "trainci.toml:1: cannot be read: Exceeds the limit"),
        (
            "[project]\nmax_gpus = 0x" + "f" * 5000,
            "trainci.toml:2: project → max_gpus: must be less than or equal to 1024",
        ),
        ("[project]\nmax_gpus = true", "trainci.toml:2: project → max_gpus: must be a whole number"),
        ("[project]\ntimeout_minutes = true", "trainci.toml:2: project → timeout_minutes: must be a number"),
        ("[project]\ntimeout_minutes = nan", "trainci.toml:2: project → timeout_minutes: must be a finite number"),
        ("[project]\ntimeout_minutes = inf", "trainci.toml:2: project → timeout_minutes: must be a finite number"),
        ('[project]\nbase = "a\\u0000b"', "trainci.toml:2: project → base: cannot hold a NUL character"),
        ("a = " + "[" * 3000 + "]" * 3000, "trainci.toml:1: "),
        ('[suites.a]\ntests = ["' + "x" * 300 + '"]', "trainci.toml:2: suites.a → tests[0] → path: xxx"),
        ('[suites.a]\ntests = [""]', "trainci.toml:2: suites.a → tests[0] → path: an empty string is not inside"),
        ('[suites.a]\ntests = ["gone"]', "trainci.toml:2: suites.a → tests[0] → path: gone does not exist"),
        (
            '[suites.a]\ntests = ["tests/sub/a.py"]',
            "trainci.toml:2: suites.a → tests[0] → path: tests/sub/a.py does not exist; tests is empty. If",
        ),
        ('[suites.a]\ntests = ["a\\nb.py"]', "trainci.toml:2: suites.a → tests[0] → path: a\\nb.py does not exist"),
        (
            '[suites.a]\ntests = [{ path = "x", args = [["y"]] }]',
            "trainci.toml:2: suites.a → tests[0] → args[0]: must",
        ),
        ('[suites.a]\njob = "1st"', "trainci.toml:2: suites.a → job: 1st is no id of a job"),
        ('[suites.a]\njob = "commit"', "trainci.toml:2: suites.a → job: commit is a job that the workflow has"),
        ('[suites.a]\njob = "x"\n[suites.b]\njob = "X"', "trainci.toml:3: suites.b: its job X is one of suite a"),
        ("[suites.a]\njobs = 0", "trainci.toml:2: suites.a → jobs: "),
        (
            "[suites.a]\njobs = 2\npack = true",
            "trainci.toml:2: suites.a → jobs: `pack` puts all tests",
        ),
        ('[suites.a]\nbranches = ["a b"]', "trainci.toml:2: suites.a → branches[0]: "),
        ('[suites.a]\nbranches = ["!main"]', "trainci.toml:2: suites.a → branches[0]: !main leaves out"),
        ('[suites.a]\npaths = ["**", "!docs/**"]', "trainci.toml:2: suites.a → paths[1]: !docs/** leaves out"),
        ('[suites.a]\nexclude = ["!tests/b*"]', "trainci.toml:2: suites.a → exclude[0]: !tests/b* leaves out"),
        ('[suites.a]\ninstall = "a\\u0000"', "trainci.toml:2: suites.a → install: "),
        ('[suites.a]\npaths = ["/x"]', "trainci.toml:2: suites.a → paths[0]: "),
        ('[suites.a]\ninclude = ["b"]', "trainci.toml:2: suites.a → include[0]: b is no suite; there are: a"),
        ('[suites.a]\ninclude = ["a"]', "trainci.toml:2: suites.a → include[0]: a includes this suite in turn"),
        (
            '[suites.a]\ninclude = ["b"]\n[suites.b]\ninclude = ["c"]\n[suites.c]\ninclude = ["a"]',
            "trainci.toml:2: suites.a → include[0]: b includes this suite in turn; remove one of the two",
        ),
        (
            '[suites.a]\ninclude = ["b"]\n[suites.b]\nselect = "changed"',
            "trainci.toml:2: suites.a → include[0]: b holds what a change touches",
        ),
        ('[suites.a]\ntests = "all"\ninclude = []\n[suites.b]\nx = 1', "trainci.toml:5: suites.b → x: unknown key"),
        ('[suites.a]\nlabel = "b"\n[suites.b]', "trainci.toml:2: suites.a → label: b is the name of another suite"),
        (b'x = "\xff"', "trainci.toml:1: not UTF-8"),
        (b"# a\n" * 300_000, "trainci.toml:1: larger than 1 MiB"),
        (b"\xff\xfex\x00", "trainci.toml:1: not UTF-8"),
    ],
)
def test_a_fault_has_its_line_its_breadcrumb_and_its_sentence(
    repository: Any, text: str | bytes, fault: str
) -> None:
    (repository.root / "tests").mkdir()
    assert _faults(repository, text)[0].startswith(fault)


def test_a_link_that_leads_outside_is_refused(repository: Any, new_repository: Callable[[], Any]) -> None:
    outside = new_repository().write("secret.py")
    (repository.root / "link.py").symlink_to(outside)
    (repository.root / "loop.py").symlink_to("loop.py")
    first, second = _faults(repository, '[suites.a]\ntests = [\n"link.py",\n"loop.py"]')
    assert first.endswith("link.py is a link that leads outside the repository")
    assert second.endswith("loop.py does not exist")


def test_a_trainci_toml_that_is_a_link_leading_outside_is_refused(
    repository: Any, new_repository: Callable[[], Any]
) -> None:
    (repository.root / "trainci.toml").symlink_to(new_repository().write("trainci.toml", "secret ="))
    said = repository.trainci("list")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "trainci.toml:1: a link that leads outside the repository, so it is not read. Put the file here.\n"
    )
    (repository.root / "trainci.toml").unlink()
    repository.write("ci/suites.toml", "[suites.a]\n")
    (repository.root / "trainci.toml").symlink_to("ci/suites.toml")
    assert repository.trainci("list").code == 0


def test_the_root_is_the_nearest_directory_with_a_file(repository: Any) -> None:
    repository.write("trainci.toml")
    below = repository.write("a/b/c.py").parent
    assert config.find_root(below) == repository.root
    repository.write("a/trainci.toml")
    assert config.find_root(below) == repository.root / "a"


def _only_usage_errors(repository: Any, text: str | bytes) -> None:
    try:
        project = _load(repository, text)
    except UsageError as error:
        assert str(error)
        for fault in str(error).split("\n"):
            place, _, sentence = fault.partition(": ")
            assert place.startswith("trainci.toml:") and place.rpartition(":")[2].isdecimal()
            assert sentence.isprintable() and sentence
    else:
        assert isinstance(project, Project)


@settings(max_examples=examples(100))
@given(
    text=st.one_of(
        st.binary(max_size=80), st.text(max_size=80), st.text("[]{}\"'\n\\=.,#ab1 \r\0\ufeff", max_size=60)
    )
)
def test_any_text_gives_a_project_or_faults_with_places(
    new_repository: Callable[[], Any], text: str | bytes
) -> None:
    encoded = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    _only_usage_errors(new_repository(), encoded)


_KEYS = ["project", "suites", "tests", "path", "args", "env", "num_gpus", "timeout_minutes", "label", "always"]
_KEYS += ["select", "image", "base", "default_gpus", "max_gpus", "description", "install", "a", "b", "[key]"]
_VALUES = st.recursive(
    st.one_of(
        st.sampled_from(["all", "changed", "tests/test_a.py", "", "x/../y", "/", "\0", "\n", "*", "[", "é"]),
        st.booleans(),
        st.integers(-(10**25), 10**25),
        st.floats(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
_ENTRIES = st.lists(
    st.one_of(
        st.just("tests/test_a.py"),
        st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3).map(
            lambda d: {"path": "tests/test_a.py", **d}
        ),
    ),
    max_size=3,
)
_SUITE = st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3).flatmap(
    lambda d: _ENTRIES.map(lambda entries: {"tests": entries, **d})
)
_DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "project": st.one_of(_VALUES, st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=3)),
        "suites": st.one_of(
            _VALUES, st.dictionaries(st.sampled_from(_KEYS), st.one_of(_SUITE, _VALUES), max_size=3)
        ),
        "b": _VALUES,
    },
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (str, bool)) else repr(value)


@settings(max_examples=examples(150))
@given(document=_DOCUMENTS)
def test_any_values_in_any_place_give_a_project_or_faults_with_places(
    new_repository: Callable[[], Any], document: dict[str, Any]
) -> None:
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in document.items())
    assert tomllib.loads(text).keys() == document.keys()
    repository = new_repository()
    repository.write("tests/test_a.py")
    _only_usage_errors(repository, text)


def test_the_published_schema_is_the_one_of_this_version() -> None:
    assert json.loads(_SCHEMA.read_text()) == config.json_schema(), (
        "python -m trainci.config > docs/trainci.schema.json"
    )


def test_the_schema_takes_what_is_right_and_refuses_what_is_wrong() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text()))
    starter = (resources.files("trainci") / "starter" / "trainci.toml").read_text()
    right = [
        tomllib.loads(starter),
        {"project": {}},
        {"suites": {"a": {"tests": ["x.py", {"path": "x.py", "args": ["a"], "env": {"A": "1"}, "num_gpus": 2}]}}},
        {"suites": {"a": {"tests": "all"}, "b": {"select": "changed"}}},
    ]
    wrong: list[dict[str, Any]] = [
        {"projects": {}},
        {"suites": {"a": {"tests": "some"}}},
        {"suites": {"a": {"tests": [{"argz": []}]}}},
        {"suites": {"a": {"tests": [{"path": "x", "args": "--a b"}]}}},
        {"suites": {"a": {"select": "all"}}},
    ]
    assert [document for document in right if not validator.is_valid(document)] == []
    assert [document for document in wrong if validator.is_valid(document)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('schedule = "60 2 * * *"', "schedule: 60 is no minute that GitHub takes: 0 to 59, *, ranges, steps"),
        ('schedule = "0 24 * * *"', "schedule: 24 is no hour"),
        ('schedule = "0 2 0 * *"', "schedule: 0 is no day of the month"),
        ('schedule = "0 2 * 13 *"', "schedule: 13 is no month that GitHub takes: 1 to 12 or JAN to DEC, *"),
        ('schedule = "0 2 * * 7"', "schedule: 7 is no day of the week that GitHub takes: 0 to 6 or SUN to SAT"),
        ('schedule = "0 2 * * MONDAY"', "schedule: MONDAY is no day of the week"),
        ('schedule = "*/0 2 * * *"', "schedule: */0 is no minute"),
        ('schedule = "50-10 2 * * *"', "schedule: 50-10 is no minute"),
        ('schedule = "1,,2 2 * * *"', "schedule: 1,,2 is no minute"),
        ('schedule = "0 2 * *"', "schedule: is no cron line of five fields"),
        ('schedule = "0  2 * * *"', "schedule: is no cron line of five fields"),
        ('schedule = "0 2 30 2 *"', "schedule: is a day that none of its months has, so it would never run"),
        ('schedule = "0 2 31 FEB-APR/2,6,SEP,11 *"', "schedule: is a day that none of its months has"),
        ('schedule = "@daily"', "schedule: is no cron line of five fields"),
        (f'label = "{"x" * 51}"', "label: has 51 characters, and GitHub allows 50 in a label"),
        ('label = " run"', "label: begins or ends in a space, which no label does"),
        ('image = "You/Train"', "image: You/Train is no name of an image"),
        ('image = "a b"', "image: a b is no name of an image"),
        ('image = "x:${{ github.token }}"', "image: x:${{ github.token }} is no name of an image"),
        ('image = "a@sha256:12"', "image: a@sha256:12 is no name of an image"),
        ('runs_on = ""', "runs_on[0]: an empty string is no label of a runner"),
        ('runs_on = ["gpu", "  "]', "runs_on[1]:    is no label of a runner"),
        (
            'runs_on = ["self-hosted,gpu"]',
            "runs_on[0]: self-hosted,gpu is no label of a runner; write one label a string",
        ),
        ("runs_on = []", "runs_on: "),
        ('secrets = ["PATH"]', "secrets[0]: PATH is a variable that the job itself uses"),
        ('secrets = ["TEST_ID"]', "secrets[0]: TEST_ID is a variable that the job itself uses"),
        ('secrets = ["Ld_Preload"]', "secrets[0]: Ld_Preload is a variable that the job itself uses"),
        ('secrets = ["TRAINCI_LOCK_DIR"]', "secrets[0]: TRAINCI_LOCK_DIR is a variable that the job itself uses"),
        ('secrets = ["HF_TOKEN", "hf_token"]', "secrets: names a secret twice"),
    ],
)
def test_what_github_refuses_is_refused_with_its_line(repository: Any, text: str, fault: str) -> None:
    found = _faults(repository, f"[suites.a]\nalways = true\n{text}\n")
    assert len(found) == 1 and found[0].startswith(f"trainci.toml:3: suites.a → {fault}"), found


@pytest.mark.parametrize(
    "name",
    [
        "a\\nb",
        "a b",
        "-x",
        "/x",
        "x/",
        "a//b",
        "a..b",
        "x.lock",
        "a/.b",
        "x.",
        "@",
        "a@{b",
        "a~1",
        "a:b",
        "a*",
        "a[b",
    ],
)
def test_a_base_that_is_no_name_of_a_branch_is_refused(repository: Any, name: str) -> None:
    """A line break in it would leave its place in the workflow."""
    (fault,) = _faults(repository, f'[project]\nbase = "{name}"\n')
    assert fault.startswith("trainci.toml:2: project → base: ") and "is no name of a branch" in fault


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("--network host", "holds --network"),
        ("--entrypoint=/bin/sh", "holds --entrypoint"),
        ("--gpus all --net none", "holds --net,"),
        ("'--network' host", "holds --network"),
        ("-e 'A", "opens a quote that it does not close"),
        ("-e\\nA", "-e\\nA is more than one line"),
    ],
)
def test_options_that_github_refuses_for_a_container_are_refused(repository: Any, option: str, fault: str) -> None:
    (said,) = _faults(repository, f'[workflow]\ncontainer_options = "{option}"\n')
    assert said.startswith(f"trainci.toml:2: workflow → container_options: {fault}")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (
            '[suites.changed]\nselect = "changed"\n[suites.changed-detect]\n',
            "trainci.toml:3: suites.changed-detect: ",
        ),
        ('[suites.changed-detect]\n[suites.changed]\nselect = "changed"\n', "trainci.toml:2: suites.changed: "),
        ("[suites.a]\n[suites.a-result]\n", "trainci.toml:2: suites.a-result: "),
        ('[suites.a]\n[suites.A]\nlabel = "other"\n', "trainci.toml:2: suites.A: "),
    ],
)
def test_suites_whose_jobs_would_have_one_id_are_refused(repository: Any, text: str, where: str) -> None:
    (fault,) = _faults(repository, text)
    assert fault.startswith(where) and "rename one" in fault
    _load(repository, "[suites.a]\n[suites.a-detect]\n")


def test_a_suites_name_leaves_room_for_the_ids_of_its_jobs(repository: Any) -> None:
    _load(repository, f"[suites.{'a' * 80}]\n")
    assert "at most 80 characters, and this one has 81" in _faults(repository, f"[suites.{'a' * 81}]\n")[0]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "30 2 * * *",
            "*/15 0-6,12-23/2 1,15 JAN-mar,12 MON-FRI",
            "0 4 * * sun",
            "59 23 31 12 6",
            "5-59/10 * * * *",
        ),
        *("0 2 29 2 *", "0 2 30/1 2-3 *", "0 2 31 */2 *", "0 2 30 feb mon"),
    ],
)
def test_a_schedule_that_github_takes_is_taken(repository: Any, line: str) -> None:
    assert _load(repository, f'[suites.a]\nschedule = "{line}"\n').suites[0].schedule == line


@pytest.mark.parametrize("name", ["TRAINCI_LOCK_DIR", "TRAINCI_LEASE", "trainci_x"])
def test_a_variable_that_trainci_sets_is_refused_in_env_with_its_line(repository: Any, name: str) -> None:
    """With a lock directory of its own a test would have a queue of its own, beside other holders."""
    repository.write("tests/test_a.py")
    text = '[suites.a]\ntests = [\n  {{ path = "tests/test_a.py", env = {{ OK = "1", {} = "x" }} }},\n]\n'
    (fault,) = _faults(repository, text.format(name))
    assert fault.startswith("trainci.toml:3: ") and f"{name} is set by trainci alone" in fault


@pytest.mark.parametrize("word", ["a b", "a\\n#SBATCH --uid=0", "$(id)", "a;b", "ä"])
@pytest.mark.parametrize("key", ["partition", "account", "qos", "gres"])
def test_no_name_in_slurm_can_become_another_line_of_a_script(repository, key, word):
    repository.write("trainci.toml", f'[executors.slurm]\n{key} = "{word}"\n')
    with pytest.raises(UsageError, match=rf"trainci.toml:2: executors → slurm → {key}: .* is no name in Slurm"):
        config.load(repository.root)


def test_a_key_of_slurms_that_is_unknown_is_told_with_those_that_are_known(repository):
    repository.write("trainci.toml", '[executors.slurm]\nqueue = "a"\n')
    with pytest.raises(UsageError, match=r"executors → slurm → queue: unknown key; known are partition, account"):
        config.load(repository.root)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ubuntu",
        "nvcr.io/nvidia/pytorch:25.01-py3",
        f"ghcr.io/you/train__x@sha256:{'a' * 64}",
        "Registry.example.com:5000/a/b",
        "localhost:5000/a",
        "docker://a/b:C",
        "nvcr.io#nvidia/pytorch:25.01-py3",
        "oras://ghcr.io/you/train:1",
        "/shared/x.sif",
    ],
)
def test_an_image_is_one_that_docker_enroot_or_apptainer_reads_or_a_file(name: str) -> None:
    assert github_values.image(name) == name
