"""The generated workflow, run by act with every job of a test in a container of its own."""

from __future__ import annotations

import json
import subprocess

import containers
import pytest
from github.workflows.conftest import (
    HANGS,
    WORKFLOW,
    assert_leases_are_free,
    cancelled,
    generated,
    parsed,
    pull_request,
    wait_for,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(540)]

CONFIG = """\
[project]
image = "{image}"
install = "python -c 'import trainci'"

[workflow]
lock_dir = "{work}/leases"
mounts = [
  "{wheels}:{wheels}:ro", "{work}/seen:/seen", "{work}/artifacts:{work}/artifacts", "{root}:{work}/source:ro"
]
container_options = ""
queue_minutes = 10

[suites.short]
tests = ["tests/test_one.py", "tests/test_two.py"]
devices = "cpu:2"

[suites.hang]
tests = ["tests/test_hang.py"]
devices = "cpu:2"
"""
# Says which device it held, and goes on until its neighbour has started, so that the two are known to meet.
MEETS = """\
import json, os, pathlib, sys, time
NUM_GPUS = 1
if __name__ == "__main__":
    seen, name = pathlib.Path("/seen"), pathlib.Path(__file__).stem
    (seen / f"{name}.started").touch()
    deadline = time.monotonic() + 240
    while len(list(seen.glob("*.started"))) < 2:
        if time.monotonic() > deadline:
            sys.exit("no neighbour came")
        time.sleep(0.02)
    (seen / f"{name}.json").write_text(json.dumps({
        "device": os.environ["TRAINCI_DEVICES"],
        "ipc": os.readlink("/proc/self/ns/ipc"), "proxy": os.environ.get("https_proxy"),
    }))
"""


@pytest.fixture
def case(repository, work, wheels, podman):
    for name in ("leases", "seen"):
        (work / name).mkdir(mode=0o777)
    repository.trainci("init")
    text = CONFIG.format(image=containers.IMAGE, work=work, wheels=wheels, root=repository.root)
    repository.write("trainci.toml", text)
    for name in ("one", "two"):
        repository.write(f"tests/test_{name}.py", MEETS)
    repository.write("tests/test_hang.py", HANGS.replace("SEEN", "/seen"))
    generated(repository)
    repository.init()
    return repository


def test_jobs_in_containers_share_one_lease_directory_and_never_a_device(case, container_act, work, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    ran = container_act.run(case.root, "pull_request", pull_request("labeled", ["run-ci-short"], "run-ci-short"))
    assert ran.code == 0, ran.output
    held = [json.loads(file.read_text()) for file in (work / "seen").glob("*.json")]
    assert sorted(one["device"] for one in held) == ["cpu-0", "cpu-1"]
    assert len({one["ipc"] for one in held}) == 2, "each job has an IPC namespace, and so a /dev/shm, of its own"
    assert {one["proxy"] for one in held} == {"http://proxy.example:3128"}, "named in the workflow"
    assert ran.output.count("### trainci · 2 virtual devices, no GPU") == 2
    kept = ran.kept("e2e-test-short")
    assert len(kept) == 2
    assert all((folder / "junit.xml").is_file() and list(folder.glob("runs/*/*.log")) for folder in kept)


def test_a_cancelled_job_in_a_container_leaves_no_process_and_no_lease(case, container_act, work, podman):
    payload = pull_request("labeled", ["run-ci-hang"], "run-ci-hang")
    cancelled(container_act, case.root, payload, work / "seen")
    engine, _ = podman
    running = engine("ps", "--format", "{{.Mounts}}").stdout
    assert str(work) not in running
    assert_leases_are_free(work / "leases")


def test_a_cancelled_test_in_a_container_reports_and_gives_its_devices_back(case, work, podman, wheels):
    """A runner runs a step with `docker exec`, whose client dies alone; the step after it ends the test."""
    engine, _ = podman
    job = parsed((case.root / WORKFLOW).read_text())["jobs"]["e2e-test-hang"]
    steps = {step["name"]: step for step in job["steps"]}
    assert steps["End a cancelled test"]["if"] == "cancelled()"
    variables = {"TEST_ID": "tests/test_hang.py", "DEVICES": "cpu:2", "TRAINCI_LOCK_DIR": f"{work}/leases"}
    volumes = [
        f"{case.root}:/source",
        f"{work}/leases:{work}/leases",
        f"{wheels}:{wheels}:ro",
        f"{work}/seen:/seen",
    ]
    assert job["container"]["volumes"][:2] == volumes[1:3] and f'-v "{volumes[3]}"' in job["container"]["options"]
    name = f"trainci-cancel-{work.name}"
    started = engine(
        *("run", "--detach", "--rm", "--name", name, "--workdir", "/source"),
        *(option for volume in volumes for option in ("--volume", volume)),
        *(option for pair in {**variables, "RUNNER_TEMP": "/tmp"}.items() for option in ("--env", "=".join(pair))),
        *(containers.IMAGE, "sleep", "300"),
    )
    assert started.returncode == 0, started.stderr
    try:
        installed = engine(
            "exec", name, "pip", "install", "--quiet", "--no-index", f"--find-links={wheels}", "trainci"
        )
        assert installed.returncode == 0, installed.stderr
        shell = ("exec", "-i", name, "bash", "-e", "-c")
        client = subprocess.Popen(
            ["podman", *shell, steps["Run the test"]["run"]],
            env=engine.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: (work / "seen/started").exists() or client.poll() is not None, 60)
        finally:
            client.kill()
            client.wait(30)
        assert not (case.root / ".trainci/junit.xml").exists()
        ended = engine(*shell, steps["End a cancelled test"]["run"])
        assert ended.returncode == 0, ended.stderr
        assert "interrupted" in (case.root / ".trainci/junit.xml").read_text()
        assert_leases_are_free(work / "leases")
        again = engine(*shell, steps["End a cancelled test"]["run"])
        assert again.returncode == 0, again.stderr
    finally:
        engine("rm", "--force", "--time", "0", name)
