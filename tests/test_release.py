"""What is released can be installed: the metadata, the version, the lowest dependencies, a tool of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomli

from trainci import __version__

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
        pytest.skip(f"{tool} is not installed")
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
