"""What really runs a workflow: GitHub's parser and evaluator under node, ``act``, and a container engine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import containers
import pytest
import yaml
from support import processes_with, unavailable, wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WORKFLOW = ".github/workflows/pr-test.yml"
_BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def github() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Asks GitHub's own packages; see node/evaluate.mjs for requests and answers."""
    folder = HERE / "node"
    if shutil.which("node") is None:
        unavailable("node is not installed (Node.js 20 or newer)")
    if not (folder / "node_modules").is_dir():
        unavailable("GitHub's packages are not installed (npm ci in tests/github/workflows/node)")

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        done = subprocess.run(
            ["node", "--import", "./json.mjs", "evaluate.mjs"],
            cwd=folder,
            input=json.dumps(request),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return ask


def parsed(text: str) -> dict[str, Any]:
    """A workflow, with its key ``on`` (which YAML 1.1 takes for true) under its name."""
    document = yaml.safe_load(text)
    document["on"] = document.pop(True)
    return document


def generated(repository: Any) -> str:
    """The text of the generated workflow."""
    said = repository.trainci("generate")
    assert said.code == 0, said.err
    return (repository.root / WORKFLOW).read_text()


def assert_schema_and_zizmor_find_nothing(text: str, folder: Path) -> None:
    """The workflow is what GitHub's schema allows, and holds nothing that an auditor of workflows warns of."""
    file = folder / WORKFLOW
    file.parent.mkdir(parents=True)
    file.write_text(text)
    for command in (
        [_BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", file],
        [_BIN / "zizmor", "--offline", "--persona=pedantic", "--no-config", "--color=never", file],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def pull_request(
    action: str, labels: Sequence[str] = (), added: str = "", fork: bool = False, number: int = 7
) -> dict[str, Any]:
    """The payload of a pull_request event, as far as anything of ours reads it."""
    payload: dict[str, Any] = {
        "action": action,
        "number": number,
        "pull_request": {
            "number": number,
            "labels": [{"name": label} for label in labels],
            "head": {"ref": "topic", "repo": {"full_name": "stranger/train" if fork else "lab/train"}},
            "base": {"ref": "main"},
        },
        "repository": {
            "full_name": "lab/train",
            "name": "train",
            "default_branch": "main",
            "owner": {"login": "lab"},
        },
    }
    if action == "labeled":
        payload["label"] = {"name": added}
    return payload


@dataclass
class Ran:
    """What a run of a workflow left: its output (with the summaries in it), and the artifacts of its jobs."""

    code: int
    output: str
    artifacts: Path

    def kept(self, job: str) -> list[Path]:
        """The artifacts of the jobs of that name."""
        return sorted(self.artifacts.glob(f"{job}-*"))


class Act:
    """Runs the workflow of a repository with ``act``; its actions are the stand-ins of ``actions/``."""

    def __init__(self, work: Path, environment: dict[str, str], steps: dict[str, str]) -> None:
        self._work = work
        self._environment = environment
        self._steps = steps
        self.artifacts = work / "artifacts"
        self.artifacts.mkdir()

    def command(self, root: Path, event: str, payload: dict[str, Any]) -> list[str]:
        payload_file = self._work / "event.json"
        payload_file.write_text(json.dumps(payload))
        pins = dict(re.findall(r"uses: (actions/[a-z-]+)@(\w+)", (root / WORKFLOW).read_text()))
        stand_ins = [
            option
            for name, commit in pins.items()
            for option in ("--local-repository", f"{name}@{commit}={HERE / name}")
        ]
        # Under a name of its own, as act has a volume of its own in a container where the repository is.
        source = self._work / "source"
        source.symlink_to(root)
        steps = {"SOURCE": str(source), "ARTIFACTS": str(self.artifacts), **self._steps}
        return [
            # --rm: a runner of GitHub's, too, removes a job's container, however the job ended.
            *(
                str(_BIN / "act"),
                event,
                "--eventpath",
                str(payload_file),
                "--pull=false",
                "--network",
                "host",
                "--rm",
            ),
            # This machine, but for a job with `container:`.
            *("-P", "self-hosted=-self-hosted", "-P", "ubuntu-latest=-self-hosted"),
            *stand_ins,
            *(option for name, value in steps.items() for option in ("--env", f"{name}={value}")),
        ]

    def start(self, root: Path, event: str, payload: dict[str, Any], output: Any = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(root, event, payload),
            cwd=root,
            env={
                **os.environ,
                **self._environment,
                "XDG_CACHE_HOME": str(self._work / "cache"),
                "HOME": str(self._work),
            },
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, root: Path, event: str, payload: dict[str, Any]) -> Ran:
        with self.start(root, event, payload) as process:
            try:
                # Each job is a container with an installation of its own, one after another on a busy host.
                output, _ = process.communicate(timeout=480)
            finally:
                process.kill()
        return Ran(process.returncode, output, self.artifacts)


# Starts a child that leaves its session, says that it runs, and ignores every polite request to end.
HANGS = """\
import os, pathlib, signal, subprocess, sys, time
NUM_GPUS = 2
if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "MARK"], start_new_session=True)
    pathlib.Path("SEEN", "started").touch()
    time.sleep(600)
"""


def cancelled(act: Act, root: Path, payload: dict[str, Any], seen: Path) -> None:
    """Run the job of ``HANGS``, cancel it once its test runs, and see that no process of it is left."""
    mark = f"trainci-hang-{os.urandom(8).hex()}"
    test = root / "tests/test_hang.py"
    others = {*processes_with(test.name)}  # such as those of another run of these tests
    test.write_text(test.read_text().replace("MARK", mark))
    subprocess.run(
        ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x", "commit", "-qam", "m"], check=True
    )
    with (seen / "output").open("w+") as output, act.start(root, "pull_request", payload, output) as process:
        try:
            wait_for(lambda: (seen / "started").exists() or process.poll() is not None, 240)
            assert process.poll() is None, (seen / "output").read_text()
            # A program that is just begun has no command line yet.
            wait_for(lambda: len(processes_with(mark)) == 1, 60)
            process.send_signal(signal.SIGINT)
            process.wait(120)
        finally:
            process.kill()
    wait_for(lambda: not processes_with(mark) and not {*processes_with(test.name)} - others, 120)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    wait_until(condition, "what a job does", seconds)


def assert_leases_are_free(lock_dir: Path) -> None:
    """Every device of the two can be leased at once."""
    command = [
        sys.executable,
        "-m",
        "trainci",
        "lease",
        "--count",
        "2",
        "--virtual",
        "2",
        "--timeout",
        "20",
        "--",
        "true",
    ]
    environment = {**os.environ, "TRAINCI_LOCK_DIR": str(lock_dir)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this tree, built with no network."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def host_bin(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """The programs of a runner's own Python environment, with trainci installed from its wheel."""
    folder = tmp_path_factory.mktemp("runner")
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(folder)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    dependencies = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    wheel = next(wheels.glob("trainci-*.whl"))
    install = [
        folder / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--ignore-installed",
    ]
    subprocess.run([*install, wheel], check=True)
    return folder / "bin"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def host_act(work: Path, host_bin: Path, wheels: Path) -> Act:
    path = f"{host_bin}:{os.environ['PATH']}"
    steps = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PATH": path}
    return Act(work, {"PATH": path, "TMPDIR": str(work)}, {**steps, "TRAINCI_LOCK_DIR": str(work / "leases")})


@pytest.fixture(scope="session")
def podman() -> Iterator[tuple[containers.Podman, str]]:
    """A container engine and the address of its socket."""
    engine = containers.require()
    with contextlib.ExitStack() as stack:
        try:
            yield engine, stack.enter_context(engine.socket())
        except containers.Unavailable as reason:
            unavailable(f"containers cannot be tested here: {reason}")


@pytest.fixture
def container_act(work: Path, podman: tuple[containers.Podman, str], host_bin: Path, wheels: Path) -> Act:
    """act with a container for each job that asks for one; the paths are those of this machine in it, too."""
    engine, address = podman
    path = f"{host_bin}:{os.environ['PATH']}"
    environment = {**engine.environment, "DOCKER_HOST": address, "PATH": path, "TMPDIR": str(work)}
    # The first is that of the image's own Python.
    steps = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PATH": f"/opt/venv/bin:{path}"}
    return Act(work, environment, steps)
