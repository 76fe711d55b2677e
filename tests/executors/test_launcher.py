"""Lease processes come from one process that sees nothing of a repository and needs no file any more."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import trainci
from trainci.executors.launcher import Launcher

pytestmark = pytest.mark.slow


LOUD = "import sys\nsys.stderr.write('the repository runs inside trainci\\n')\nraise SystemExit(9)\n"
TEST = "NUM_GPUS = 1\nif __name__ == '__main__':\n    print('hello from the test')\n"
# As a console script does: nothing of the current directory is on the path of `trainci run` itself.
SCRIPT = "import sys; sys.path[:1] = {paths!r}; from trainci.__main__ import main; sys.exit(main())"


def run(
    repository: Path, *arguments: str, paths: list[str] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(paths=paths or []), "run", *arguments],
        cwd=repository,
        env={"PATH": "/usr/bin:/bin", "TRAINCI_LOCK_DIR": str(repository / "locks"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(TEST)
    (tmp_path / "trainci.toml").write_text("[project]\n")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["types.py", "select.py", "json.py", "trainci.py", "trainci/__init__.py", "pynvml.py"],
)
def test_a_file_of_the_repository_that_is_named_as_a_library_is_not_imported(repository, name):
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(LOUD)
    done = run(repository, "tests/test_a.py", "--devices", "cpu:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello from the test" in done.stdout
    assert "inside trainci" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONPATH": "evil"},
        {"PYTHONHOME": "/nowhere"},
        {"PYTHONSTARTUP": "evil/types.py"},
        {"PYTHONWARNINGS": "error"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"CUDA_VISIBLE_DEVICES": "7"},
    ],
    ids=str,
)
def test_a_tests_environment_is_the_tests_alone(repository, variables):
    """Whatever it does to the test: the machine is not at fault, and nothing of it runs inside trainci."""
    (repository / "evil").mkdir()
    (repository / "evil/sitecustomize.py").write_text("import os; open('marks', 'a').write(f'{os.getppid()}\\n')\n")
    env = ", ".join(f'{name} = "{value}"' for name, value in variables.items())
    (repository / "trainci.toml").write_text(
        f'[suites.s]\ntests = [{{ path = "tests/test_a.py", env = {{ {env} }} }}]\n'
    )
    done = run(repository, "s", "--devices", "cpu:1")
    assert "machine" not in done.stdout, done.stdout
    assert done.returncode in (0, 1), done.stdout + done.stderr
    if "PYTHONPATH" in variables:
        assert len((repository / "marks").read_text().splitlines()) == 1, "the test itself, and nobody else"


def test_a_run_goes_on_when_trainci_is_uninstalled_under_it(repository):
    site = repository.parent / "site"
    shutil.copytree(Path(trainci.__file__).parent, site / "trainci")
    (repository / "tests/test_a.py").write_text(f"{TEST}    import shutil; shutil.rmtree({str(site)!r})\n")
    (repository / "tests/test_b.py").write_text(TEST)
    done = run(
        repository,
        "tests/test_a.py",
        "tests/test_b.py",
        "--devices",
        "cpu:1",
        "--junit",
        "r.xml",
        paths=[str(site)],
    )
    assert not site.exists()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (repository / "r.xml").exists()


def test_a_killed_launcher_is_told_and_what_it_started_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    launcher = Launcher()
    output, its_output = os.pipe()
    status, its_status = os.pipe()
    command = ["--count", "0", "--", sys.executable, "-c", "import time; time.sleep(1)"]
    launched = launcher.start(command, tmp_path, {}, its_output, its_status)
    os.close(its_status)
    assert os.read(status, 10)
    launcher._process.kill()
    assert launched.wait() is None
    with pytest.raises(OSError):
        for _ in range(2):  # the first may still lie in the socket
            launcher.start(command, tmp_path, {}, its_output, its_output)
    os.close(its_output)
    with os.fdopen(status) as reports:
        assert json.loads(reports.read().splitlines()[-1])["event"] == "ended"
    os.close(output)


def test_a_test_is_not_told_the_files_by_which_a_step_speaks_to_github(repository, tmp_path):
    """It could put what it likes into the environment, the PATH, the outputs or the summary of what follows."""
    files = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY")
    (repository / "tests/test_a.py").write_text(
        "import os\nNUM_GPUS = 0\nif __name__ == '__main__':\n"
        "    print('told:', sorted(name for name in os.environ if name.startswith('GITHUB_')))\n"
    )
    told = {name: str(tmp_path / name) for name in files}
    done = run(repository, "tests/test_a.py", "--devices", "cpu:1", **told, GITHUB_SHA="0123abc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "told: ['GITHUB_SHA']" in done.stdout
    assert "passed" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text(), "trainci itself speaks to it"


@pytest.mark.parametrize("module", ["launcher", "node"])
def test_what_starts_leases_imports_no_executor(module):
    name = f"trainci.executors.{module}"
    loaded = f"import sys, {name}; print(*(each for each in sys.modules if each.startswith('trainci.executors')))"
    done = subprocess.run([sys.executable, "-I", "-c", loaded], capture_output=True, text=True, check=True)
    assert not {"base", "local", "ray", "slurm"} & {each.rpartition(".")[2] for each in done.stdout.split()}
    assert name in done.stdout.split()


def imported_later(module):
    """What the functions of a module import."""
    found = importlib.util.find_spec(module)
    functions = [each for each in ast.walk(ast.parse(Path(found.origin).read_text())) if is_function(each)]
    for node in (node for function in functions for node in ast.walk(function)):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def is_function(node):
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def test_what_a_lease_imports_only_once_it_needs_it_is_there_when_the_launcher_is():
    """A test that is started an hour later has the code of the run's beginning, whatever was upgraded meanwhile."""
    program = "import sys; from trainci.executors.launcher import import_all; import_all(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    own = {name for name in loaded if name.startswith(("trainci.lease.", "trainci.host."))}
    later = {name for module in own for name in imported_later(module)}
    assert {"trainci.lease.store.settings", "trainci.lease.store.ledger", "shutil"} <= later
    assert later - loaded <= {"pynvml"}, "which is there where there is a driver"
