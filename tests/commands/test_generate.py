"""``trainci generate``: what it writes, what it compares, and what it refuses."""

from __future__ import annotations

import pytest

WORKFLOW = ".github/workflows/pr-test.yml"

EXTENDS = '<% extends "trainci/pr-test.yml.j2" %>'


@pytest.fixture
def case(repository):
    assert repository.trainci("init").code == 0
    repository.init()
    return repository


def test_init_writes_a_workflow_that_matches_its_template(case):
    said = case.trainci("generate", "--check")
    assert (said.code, said.out) == (0, f"{WORKFLOW}: as the template gives it.\n")


def test_check_exits_1_with_a_unified_diff_and_writes_nothing(case):
    before = (case.root / WORKFLOW).read_text()
    drifted = before.replace("contents: read", "contents: write")
    case.write(WORKFLOW, drifted)
    said = case.trainci("generate", "--check")
    assert said.code == 1
    assert said.out.startswith(f"--- a/{WORKFLOW}\n+++ b/{WORKFLOW}\n@@ ")
    assert "\n-  contents: write\n+  contents: read\n" in said.out
    assert "Run `trainci generate` and commit." in said.err
    assert (case.root / WORKFLOW).read_text() == drifted
    assert case.trainci("generate").code == 0
    assert (case.root / WORKFLOW).read_text() == before


def test_check_shows_a_file_that_is_missing_or_differs_only_at_its_end(case):
    text = (case.root / WORKFLOW).read_text()
    case.write(WORKFLOW, text.rstrip("\n"))
    said = case.trainci("generate", "--check")
    assert said.code == 1
    assert "\\ No newline at end of file" in said.out
    (case.root / WORKFLOW).unlink()
    said = case.trainci("generate", "--check")
    assert said.code == 1
    assert said.out.startswith("--- /dev/null\n")


@pytest.mark.parametrize("change", ["trainci.toml", "tests/test_first.py", f"{WORKFLOW}.j2"])
def test_what_a_workflow_depends_on_makes_it_drift(case, change):
    old, new = {
        "trainci.toml": ("timeout_minutes = 60", "timeout_minutes = 61"),
        "tests/test_first.py": ("NUM_GPUS = 0", "NUM_GPUS = 1"),
        f"{WORKFLOW}.j2": (EXTENDS, f"{EXTENDS}<% block permissions %> {{}}<% endblock %>"),
    }[change]
    text = (case.root / change).read_text()
    assert old in text
    case.write(change, text.replace(old, new))
    assert case.trainci("generate", "--check").code == 1


def test_every_template_is_rendered(case):
    case.write(
        ".github/workflows/nightly.yml.j2",
        "name: nightly\njobs: [<% for job in jobs %><< job.name >>,<% endfor %>]\n",
    )
    said = case.trainci("generate")
    assert "wrote .github/workflows/nightly.yml\n" in said.out
    assert f"unchanged {WORKFLOW}\n" in said.out
    text = (case.root / ".github/workflows/nightly.yml").read_text()
    assert text.endswith("name: nightly\njobs: [e2e-test-short,e2e-test-changed,]")


def test_writing_is_whole_or_not_at_all(case, monkeypatch):
    before = (case.root / WORKFLOW).read_text()
    case.write("trainci.toml", '[suites.other]\ntests = ["tests/test_first.py"]\n')

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    said = case.trainci("generate")
    assert (said.code, said.err) == (2, f"trainci: {WORKFLOW} cannot be written: No space left on device.\n")
    assert (case.root / WORKFLOW).read_text() == before
    assert sorted(path.name for path in (case.root / ".github/workflows").iterdir()) == [
        "pr-test.yml",
        "pr-test.yml.j2",
    ]


def test_no_template_says_where_it_would_be(repository):
    repository.write("trainci.toml", "[project]\n")
    said = repository.trainci("generate")
    assert said.code == 2
    assert ".github/workflows/*.yml.j2 matches nothing" in said.err


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("[project]\n", "trainci.toml: no suites, so there is no job to generate."),
        ("[suites.empty]\n", "trainci.toml:1: suite empty has no tests, so its job would be empty."),
        ('[suites.a]\ntests = ["tests/test_bad.py"]\n', "tests/test_bad.py:1: NUM_GPUS must be a whole number"),
        ('[suites.a]\ntests = ["tests/../../outside.py"]\n', "tests/../../outside.py is not inside the repository"),
        ('[suites.a]\ntests = ["/etc/passwd"]\n', "/etc/passwd is not inside the repository"),
        ('[suites.a]\ntests = ["tests/test_link.py"]\n', "is a link that leads outside the repository"),
        ('[suites.all]\ntests = ["tests/test_first.py"]\n', "a suite cannot be named all"),
        ('[suites.a]\nschedule = "daily"\n', "is no cron line of five fields"),
        ('[suites.a]\nsecrets = ["GITHUB_TOKEN"]\n', "is no name that GitHub allows for a secret"),
        ('[workflow]\nmounts = ["../x:/y"]\n', "is no mount"),
        ('[suites.a]\njob = "x"\n[suites.b]\njob = "X"\n', "its job X is one of suite a, too"),
    ],
)
def test_a_configuration_that_cannot_become_a_workflow_is_refused(case, tmp_path, config, sentence):
    (tmp_path / "outside.py").write_text("NUM_GPUS = 0\n")
    (case.root / "tests/test_link.py").symlink_to(tmp_path / "outside.py")
    case.write("tests/test_bad.py", "NUM_GPUS = len('abc')\nif __name__ == '__main__':\n    print()\n")
    case.write("trainci.toml", config)
    before = (case.root / WORKFLOW).read_text()
    said = case.trainci("generate")
    assert said.code == 2
    assert sentence in said.err
    assert (case.root / WORKFLOW).read_text() == before


def test_a_test_that_must_not_be_run_has_a_job_that_says_so(case):
    case.write("tests/test_dead.py", "NUM_GPUS = 2\ndef test_it(): pass\nif __name__ == '__main__':\n    test_it\n")
    case.write("trainci.toml", '[suites.a]\ntests = ["tests/test_first.py", "tests/test_dead.py"]\n')
    assert case.trainci("generate").code == 0
    assert "tests/test_dead.py" in (case.root / WORKFLOW).read_text()
    said = case.trainci("run", "--id", "tests/test_dead.py", "--devices", "cpu:2")
    assert said.code == 2 and "tests/test_dead.py:4: `test_it` is named here and not called" in said.out
