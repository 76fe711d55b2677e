"""What is released can be installed: the metadata, the version, the lowest dependencies, a tool of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from junitparser import JUnitXml
from support import unavailable, wait_until

from trainci import __version__
from trainci.lease.store.directory import FORMAT

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
# What leans on each of the dependencies, and is fast.
LEANS = [
    "tests/test_cli.py",
    "tests/test_config.py",
    "tests/test_console.py",
    "tests/adopt/test_readers.py",
    "tests/commands/test_completion.py",
    "tests/commands/test_run.py",
    "tests/github/workflows/test_steps.py",
    "tests/host/test_devices.py",
    "tests/reports/test_junit.py",
]

# Each version of pydantic words the schema in its own way.
_WORDED = "tests/test_config.py::test_the_published_schema_is_the_one_of_this_version"


def run(*words: object, **settings: object) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **settings)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def test_the_version_stands_in_one_place_and_in_the_changelog():
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_pages_of_the_project_are_named():
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= PROJECT["urls"].keys()


def test_no_address_leads_to_a_stranger():
    """All are somebody's own, or all of the domain that is nobody's; an account called `you` is somebody's."""
    addresses = [author["email"] for author in PROJECT["authors"]] + list(PROJECT["urls"].values())
    nobodys = [bool(re.search(r"[@./]example\.org(/|$)", address)) for address in addresses]
    assert all(nobodys) or not any(nobodys), addresses
    assert not any("/you/" in address for address in addresses)


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The sdist and the wheel; the wheel is made from the sdist, so whatever that lacks is missing."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT)
    return folder


@pytest.mark.slow
def test_what_is_built_is_what_an_index_takes(dist):
    sdist, wheel = sorted(dist.iterdir(), key=lambda file: file.suffix)
    assert (sdist.name, wheel.name) == (f"trainci-{__version__}.tar.gz", f"trainci-{__version__}-py3-none-any.whl")
    run(BIN / "twine", "check", "--strict", sdist, wheel)
    run(BIN / "check-wheel-contents", wheel)
    run(BIN / "pyroma", "--min", "9", sdist)
    run(BIN / "validate-pyproject", ROOT / "pyproject.toml")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_the_lowest_direct_dependencies_do(dist, tmp_path, version):
    interpreter = _interpreter(version)
    if not interpreter:
        pytest.skip(f"there is no python{version} here")
    python = tmp_path / "venv/bin/python"
    run(BIN / "uv", "venv", "--python", interpreter, tmp_path / "venv")
    install = [BIN / "uv", "pip", "install", "--python", python]
    run(*install, "--resolution", "lowest-direct", "--editable", ROOT)
    # Those of the tests may be new, and must raise none of those of the package.
    lowest = tmp_path / "lowest.txt"
    lowest.write_text(run(BIN / "uv", "pip", "freeze", "--exclude-editable", "--python", python))
    tools = ["pytest", "pytest-timeout", "hypothesis", "psutil", "pyte", "tomli", "check-jsonschema"]
    run(*install, "--constraint", lowest, *tools)
    found = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--deselect", _WORDED, *LEANS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert found.returncode == 0, found.stdout[-5000:]


def _interpreter(version: str) -> str:
    """Where such a Python is, empty where there is none."""
    # pyenv starts the one that this names; nobody else heeds it.
    named = {**os.environ, "PYENV_VERSION": version}
    words = [f"python{version}", "-c", "import sys; print(sys.executable)"]
    try:
        return subprocess.run(words, capture_output=True, text=True, env=named, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["uv", "pipx"])
def test_a_tool_of_its_own_runs_a_projects_tests_on_the_projects_own_python(dist, repository, tmp_path, tool):
    if not (BIN / tool).exists() and shutil.which(tool) is None:
        unavailable(f"{tool} is not installed")
    (wheel,) = dist.glob("*.whl")
    places = {
        **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "CONDA_PREFIX")},
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "TRAINCI_LOCK_DIR": str(tmp_path / "locks"),
    }
    words = [*(["tool"] if tool == "uv" else []), "install", "--python", sys.executable]
    program = str(BIN / tool) if (BIN / tool).exists() else tool
    run(program, *words, wheel, env=places)
    run(sys.executable, "-m", "venv", "--without-pip", repository.root / ".venv")
    repository.write("trainci.toml", "[project]\n")
    repository.write("tests/test_a.py", "import sys\nif __name__ == '__main__':\n    print('ran on', sys.prefix)\n")
    said = run(tmp_path / "bin/trainci", "run", "tests/test_a.py", "-v", cwd=repository.root, env=places)
    assert f"ran on {repository.root}/.venv" in said
    assert "1 passed" in said
    # As in a training image, which has no environment but its own.
    image = (repository.root / ".venv").rename(tmp_path / "image")
    places["PATH"] = f"{image}/bin:{places['PATH']}"
    said = run(tmp_path / "bin/trainci", "run", "tests/test_a.py", "-v", cwd=repository.root, env=places)
    assert f"ran on {image}" in said


WAITS = """NUM_GPUS = 1
if __name__ == "__main__":
    import os, pathlib, time
    pathlib.Path(__file__).with_suffix(".begun").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
    assert os.environ["TRAINCI_DEVICES"]
"""


class Installed:
    """An environment with the wheel in it, from which it can be taken away while it runs."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self._bin = folder / "venv/bin"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TRAINCI_", "GITHUB_"))},
            "TRAINCI_LOCK_DIR": str(folder / "locks"),
        }
        run(BIN / "uv", "venv", "--python", sys.executable, folder / "venv")
        run(BIN / "uv", "pip", "install", "--python", self._bin / "python", f"trainci[artifacts] @ file://{wheel}")

    def start(self, directory: Path, *arguments: object) -> subprocess.Popen[str]:
        words = [str(self._bin / "trainci"), *map(str, arguments)]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(words, cwd=directory, env=self.environment, text=True, **streams)

    def uninstall(self) -> None:
        run(BIN / "uv", "pip", "uninstall", "--python", self._bin / "python", "trainci")


@pytest.fixture
def installed(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    return Installed(tmp_path, wheel)


@pytest.mark.slow
def test_an_uninstall_under_a_run_does_not_touch_it(installed, repository):
    """Two tests want one device: the second starts once nothing of the package is there any more."""
    sent = repository.root.parent / f"{repository.root.name}.sent"
    repository.write("trainci.toml", f'[project]\nartifacts = "{sent}"\n')
    for name in ("a", "b"):
        repository.write(f"tests/test_{name}.py", WAITS)
    running = installed.start(repository.root, "run", "tests", "--devices", "cpu:1", "--junit", "report.xml")
    wait_until(lambda: list(repository.root.glob("tests/*.begun")), "the first test runs")
    installed.uninstall()
    (repository.root / "go").touch()
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert "2 passed" in said
    assert "Traceback" not in said
    assert sum(suite.tests for suite in JUnitXml.fromfile(str(repository.root / "report.xml"))) == 2
    (page,) = sent.glob("*/report.html")
    assert "tests/test_b.py" in page.read_text()


@pytest.mark.slow
def test_an_uninstall_under_leases_does_not_touch_them(installed, tmp_path):
    lease = ("lease", "--virtual", 1, "--", "sh", "-c")
    holder = installed.start(tmp_path, *lease, "touch held; while [ ! -e go ]; do sleep 0.05; done")
    wait_until((tmp_path / "held").exists, "it holds")
    waiter = installed.start(tmp_path, *lease, "echo mine")
    wait_until(lambda: list((tmp_path / "locks/tickets").glob("*.fifo")), "it waits")
    installed.uninstall()
    (tmp_path / "go").touch()
    assert holder.wait(60) == 0
    said, _ = waiter.communicate(timeout=60)
    assert (waiter.returncode, said.splitlines()[-1]) == (0, "mine"), said


def test_a_directory_of_another_version_is_refused_in_a_sentence_that_names_both_and_the_way(repository, tmp_path):
    (tmp_path / "locks").mkdir(mode=0o1777)
    (tmp_path / "locks/format").write_text(f"{FORMAT + 1}\n")
    said = repository.trainci("lease", "--lock-dir", str(tmp_path / "locks"), "--virtual", "1", "--", "true")
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert f"is a lock directory of format '{FORMAT + 1}', trainci {__version__} knows format {FORMAT}" in line
    assert "use the same version of trainci everywhere on this host" in line
