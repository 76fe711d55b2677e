"""``trainci run --executor ray`` on a real Ray: one node of this host."""

from __future__ import annotations

import importlib.metadata
import json
import os
import queue
import signal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from support import Nobody, running, serving, wait_until

from trainci.executors.base import Job, Wanted
from trainci.executors.ray import executor as ray
from trainci.model.run import Cause
from trainci.model.tests import Test

NOWHERE = "http://127.0.0.1:9"
TEST = "NUM_GPUS = 2\nif __name__ == '__main__':\n    {body}\n"
WAITS = "import os, time; open('begun', 'a').write('x')\n    while not os.path.exists('go'): time.sleep(0.05)"


def write(repository, address=NOWHERE, settings="", **bodies):
    said = f'[executors.ray]\naddress = "{address}"\n{settings}[suites.short]\nexecutor = "ray"\n'
    repository.write("trainci.toml", f'{said}tests = ["tests/test_*.py"]\n')
    for name, body in bodies.items():
        repository.write(f"tests/test_{name}.py", TEST.format(body=body))


@pytest.fixture
def head(ray_head, monkeypatch, tmp_path):
    for name, value in {"TRAINCI_LOCK_DIR": str(tmp_path / "locks"), **ray_head.environment}.items():
        monkeypatch.setenv(name, value)
    return ray_head


def run(repository, *arguments):
    names = ("TRAINCI_LOCK_DIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return repository.trainci("run", *arguments, environment=environment)


def in_background(repository):
    return running(repository.root, ["run", "short", "--devices", "cpu:8"])


def jobs(head):
    return ray._client(head.address).list_jobs()


def unfinished(head):
    return [job for job in jobs(head) if not job.status.is_terminal()]


@pytest.mark.slow
def test_a_suite_runs_on_ray_with_the_reports_and_the_exit_code_of_a_host(repository, head):
    write(repository, head.address, good="print('trained')", bad="raise SystemExit(5)")
    said = run(repository, "short", "--devices", "cpu:8", "--junit", "report.xml")
    assert said.code == 1, said.out + said.err
    assert "tests/test_good.py | trained" in said.out
    assert "failed          tests/test_bad.py: exit code 5" in said.out
    assert "replay: trainci run --id tests/test_bad.py --executor ray --devices cpu:8" in said.out
    assert 'failures="1"' in (repository.root / "report.xml").read_text()
    assert list(repository.root.glob(".trainci/runs/*/*.job")) == []


def test_a_dry_run_prints_the_job_and_asks_no_cluster(repository, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret-1234")
    write(repository, settings='[project]\nsecrets = ["HF_TOKEN"]\n', good="print()")
    said = run(repository, "short", "--devices", "cpu:8", "--dry-run")
    assert said.code == 0, said.err
    assert '"submission_id": "trainci-TOKEN"' in said.out and '"entrypoint_num_cpus": 2' in said.out
    assert "hf_secret" not in said.out
    gpus = ray.ray_executor(Wanted(repository.root)).submission(Test("a", "a", ("true",), num_gpus=2))
    assert json.loads(gpus)["entrypoint_num_gpus"] == 2


def test_a_cluster_that_is_not_there_is_the_machines_fault_and_named(repository):
    write(repository, good="print()")
    said = run(repository, "short", "--devices", "cpu:8")
    assert said.code == 3
    assert f"no Ray answers at {NOWHERE} ([executors.ray] of trainci.toml)" in said.err


def test_jobs_of_a_cluster_that_stays_away_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "_PATIENCE_S", 0.2)
    executor = ray.ray_executor(Wanted(tmp_path, "cpu:4", ray_address=NOWHERE))
    told = queue.SimpleQueue()
    executor.start(Job(Test("a", command=("true",)), 1, tmp_path / "a.log"), told.put, print)
    ending = told.get(timeout=60).ending
    executor.close()
    assert ending.cause is Cause.NEVER_STARTED
    assert f"no Ray answers at {NOWHERE}" in ending.detail


class NoAgentYet(BaseHTTPRequestHandler):
    """A head that has just begun: twice it takes no job, in Ray 2.60's words; then somebody stops what it took."""

    posts: ClassVar[list[str]] = []

    def do_GET(self):
        """Its version, and its jobs."""
        job = {"type": "SUBMISSION", "status": "STOPPED", "entrypoint": ""}
        taken = [{**job, "submission_id": self.posts[-1]}] if len(self.posts) > 2 else []
        version = {"version": "4", "ray_version": importlib.metadata.version("ray"), "ray_commit": ""}
        self._answer(200, json.dumps(version if self.path == "/api/version" else taken))

    def do_POST(self):
        """A job is submitted."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.posts.append(asked["submission_id"])
        if len(self.posts) < 3:
            self._answer(500, "No available agent to submit job, please try again later.")
        else:
            self._answer(200, json.dumps({"job_id": "1", "submission_id": self.posts[-1]}))

    def _answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        """Nothing."""


@pytest.mark.slow
def test_a_cluster_that_takes_no_job_now_is_waited_for(tmp_path):
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), NoAgentYet)) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        executor = ray.ray_executor(Wanted(tmp_path, "cpu:4", ray_address=address))
        told = queue.SimpleQueue()
        executor.start(Job(Test("a", command=("true",)), 1, tmp_path / "a.log"), told.put, Nobody())
        waiting, ended = told.get(timeout=60), told.get(timeout=60)
        executor.close()
    assert waiting.why.startswith("Ray takes no job for now: ") and "try again later" in waiting.why
    assert ended.ending.cause is Cause.CANCELLED
    assert len(NoAgentYet.posts) == 3


@pytest.mark.slow
def test_an_interrupted_run_leaves_no_job_behind(repository, head):
    write(repository, head.address, one=WAITS, two=WAITS)
    with in_background(repository) as process:
        begun = repository.root / "begun"
        wait_until(lambda: begun.exists() and begun.read_text() == "xx", "both tests to begin")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    wait_until(lambda: not unfinished(head), "Ray to say so")


@pytest.mark.slow
def test_a_job_that_somebody_stops_is_interrupted_and_not_tried_again(repository, head):
    write(repository, head.address, one=WAITS)
    before = {job.submission_id for job in jobs(head)}
    with in_background(repository) as process:
        wait_until((repository.root / "begun").exists, "the test to begin")
        (job,) = (job for job in jobs(head) if job.submission_id not in before)
        ray._client(head.address).stop_job(job.submission_id)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3, out
    assert "of Ray was stopped by somebody" in out
    assert (repository.root / "begun").read_text() == "x"


@pytest.mark.slow
def test_a_run_whose_client_was_killed_is_gone_on_with_and_nothing_is_run_twice(repository, head):
    write(repository, head.address, one=WAITS + "\n    print('went on')")
    with in_background(repository) as process:
        wait_until((repository.root / "begun").exists, "the test to begin")
        process.kill()
        process.wait()
    (repository.root / "go").write_text("")
    (directory,) = (repository.root / ".trainci/runs").iterdir()
    said = run(repository, "--attach", directory.name)
    assert said.code == 0, said.out + said.err
    assert "tests/test_one.py | went on" in said.out
    assert (repository.root / "begun").read_text() == "x"
