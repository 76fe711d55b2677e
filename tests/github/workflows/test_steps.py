"""The scripts of the generated workflow's steps, run by a shell as a runner runs them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from github.workflows.conftest import generated, parsed, wait_for

CONFIG = """\
[workflow]
trainci = "probe"

[suites.contained]
tests = ["tests/test_first.py"]
image = "ghcr.io/lab/train:1"

[suites.bare]
tests = ["tests/test_first.py"]
"""
SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c")


@pytest.fixture
def jobs(repository):
    repository.trainci("init")
    repository.write("trainci.toml", CONFIG)
    return parsed(generated(repository))["jobs"]


def script(job, name):
    return next(step["run"] for step in job["steps"] if step["name"] == name)


@pytest.fixture
def machine(tmp_path):
    """A Python of the system's own with one package in it, called python3 and nothing else; PEP 668 protects it."""
    prefix, version = tmp_path / "usr", f"python3.{sys.version_info.minor}"
    stdlib = prefix / "lib" / version
    (stdlib / "site-packages").mkdir(parents=True)
    for path in Path(os.__file__).parent.iterdir():
        if path.name not in ("site-packages", "__pycache__"):
            (stdlib / path.name).symlink_to(path)
    (stdlib / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=Use the system's packages.\n")
    (stdlib / "site-packages/there.py").write_text("")
    (prefix / "bin").mkdir()
    shutil.copy2(os.path.realpath(sys.executable), prefix / "bin/python3")
    found = subprocess.run(
        [prefix / "bin/python3", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True
    )
    if found.stdout.strip() != str(prefix):
        pytest.skip(f"this Python cannot be copied: {found.stderr or found.stdout}")
    return prefix


def with_pip(prefix):
    """Put pip where the system's packages are."""
    wheel = next((Path(os.__file__).parent / "ensurepip/_bundled").glob("pip-*.whl"))
    site = next((prefix / "lib").glob("*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


@pytest.fixture
def probe(tmp_path):
    """A folder with a wheel of the package `probe`, whose program `probe` says which prefix it runs in."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    files = {
        "probe.py": "import sys\ndef main():\n    import there\n    print(sys.prefix)\n",
        "probe-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: probe\nVersion: 1\n",
        "probe-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "probe-1.dist-info/entry_points.txt": "[console_scripts]\nprobe = probe:main\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "probe-1.dist-info/RECORD"])
    with zipfile.ZipFile(folder / "probe-1-py3-none-any.whl", "w") as archive:
        for name, text in {**files, "probe-1.dist-info/RECORD": record}.items():
            archive.writestr(name, text)
    return folder


@pytest.fixture
def install(jobs, machine, probe, tmp_path):
    """Runs the steps that install trainci and the repository; gives the environment of the steps after them."""

    def run(suite):
        (tmp_path / "temp").mkdir()
        environment = {
            **{key: os.environ[key] for key in ("HOME", "LANG", "LD_LIBRARY_PATH") if key in os.environ},
            "PATH": f"{machine}/bin:/usr/bin:/bin",
            "TRAINCI": "probe",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "GITHUB_PATH": str(tmp_path / "path"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(probe),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **jobs[f"e2e-test-{suite}"].get("env", {}),
        }
        (tmp_path / "path").touch()
        command = script(jobs[f"e2e-test-{suite}"], "Install trainci")
        done = subprocess.run([*SHELL, command], env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        added = [*reversed((tmp_path / "path").read_text().split()), environment["PATH"]]
        return {**environment, "PATH": ":".join(added)}

    return run


def installed(prefix):
    """Every file of the packages and programs of a Python."""
    (site,) = prefix.glob("lib/*/site-packages")
    found = [*site.rglob("*"), *(prefix / "bin").iterdir()]
    return sorted(str(path) for path in found if "__pycache__" not in path.parts)


def said(environment, command):
    done = subprocess.run([*SHELL, command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_a_containers_own_python_gets_trainci_although_its_system_manages_it(install, machine):
    with_pip(machine)
    assert said(install("contained"), "probe") == str(machine)


@pytest.mark.slow
def test_a_container_with_nothing_but_python3_gets_trainci_and_keeps_its_packages(install, machine, tmp_path):
    environment = install("contained")
    assert said(environment, "probe") == str(tmp_path / "temp/trainci")
    assert said(environment, "command -v pip") == str(tmp_path / "temp/trainci/bin/pip")


@pytest.mark.slow
@pytest.mark.parametrize("pip", [True, False])
def test_what_a_job_installs_on_a_machine_of_ones_own_is_gone_with_the_job(install, machine, tmp_path, pip):
    """A fork's `pip install -e .` would stay for later jobs, and those have secrets."""
    if pip:
        with_pip(machine)
    before = installed(machine)
    environment = install("bare")
    assert said(environment, "probe") == str(tmp_path / "temp/trainci")
    (tmp_path / "pyproject.toml").write_text("")
    assert said(environment, "pip install --quiet --force-reinstall probe && command -v probe").startswith(
        str(tmp_path / "temp")
    )
    assert installed(machine) == before


def ended(job, environment):
    command = script(job, "End a cancelled test")
    return subprocess.run([*SHELL, command], env=environment, capture_output=True, text=True, timeout=30)


@pytest.fixture
def running(jobs, tmp_path):
    """The test's step of a container, with a stand-in for trainci that ends on SIGINT."""
    (tmp_path / "trainci").write_text(
        "#!/bin/bash\ntrap 'sleep 1; exit 130' INT\ntouch started\nwhile :; do sleep 0.05; done\n"
    )
    (tmp_path / "trainci").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "TEST_ID": "x",
        "DEVICES": "auto",
    }
    command = script(jobs["e2e-test-contained"], "Run the test")
    with subprocess.Popen([*SHELL, command], env=environment, cwd=tmp_path) as process:
        wait_for(lambda: (tmp_path / "started").exists(), 60)
        yield process, environment
        process.kill()


def test_the_step_after_a_cancelled_test_ends_it_and_waits(jobs, running):
    process, environment = running
    done = ended(jobs["e2e-test-contained"], environment)
    assert (done.returncode, process.poll()) == (0, 130), done.stderr
    assert ended(jobs["e2e-test-contained"], environment).returncode == 0


def test_the_step_after_a_cancelled_test_ends_no_process_that_came_by_its_number(jobs, running, tmp_path):
    process, environment = running
    pid, started = (tmp_path / "trainci.pid").read_text().split()
    assert int(pid) == process.pid
    (tmp_path / "trainci.pid").write_text(f"{pid} {int(started) - 1}\n")
    assert ended(jobs["e2e-test-contained"], environment).returncode == 0
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130


@pytest.mark.parametrize("written", [None, "", "x\n", "1\n"])
def test_the_step_after_a_cancelled_test_takes_any_file_that_it_finds(jobs, tmp_path, written):
    if written is not None:
        (tmp_path / "trainci.pid").write_text(written)
    environment = {"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(tmp_path)}
    assert ended(jobs["e2e-test-contained"], environment).returncode == 0


def test_a_report_that_was_committed_is_never_kept_as_the_jobs_own(jobs, tmp_path):
    names = [step["name"] for step in jobs["e2e-test-bare"]["steps"]]
    assert names[:2] == ["Check out the repository", "Remove reports that were committed"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/junit.xml").touch()
    for make in (lambda path: path.symlink_to("elsewhere"), lambda path: (path / "runs").mkdir(parents=True)):
        make(tmp_path / ".trainci")
        command = script(jobs["e2e-test-bare"], "Remove reports that were committed")
        subprocess.run([*SHELL, command], cwd=tmp_path, check=True)
        assert not os.path.lexists(tmp_path / ".trainci")
    assert (tmp_path / "elsewhere/junit.xml").exists()
