"""``trainci run --executor slurm`` on a real Slurm: Debian's, four nodes on this host."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.slow
TEST = "NUM_GPUS = {gpus}\nif __name__ == '__main__':\n    {body}\n"


@pytest.fixture(autouse=True)
def on_slurm(slurm_cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINCI_LOCK_DIR", str(tmp_path / "locks"))
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)


def write(repository, **bodies):
    repository.write("trainci.toml", '[suites.short]\ntests = ["tests/test_*.py"]\n')
    for name, body in bodies.items():
        repository.write(f"tests/test_{name}.py", TEST.format(gpus=2, body=body))


def run(repository, *arguments):
    return repository.trainci(
        *("run", "run-ci-short", "--executor", "slurm", "--devices", "cpu:8", *arguments),
        environment={name: os.environ[name] for name in ("TRAINCI_LOCK_DIR", "SLURM_CONF")},
    )


def events_of(repository):
    (log,) = (repository.root / ".trainci/runs").glob("*/events.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_label_runs_on_slurm_with_the_events_the_reports_and_the_exit_code_of_a_host(repository):
    write(repository, good="print('trained')", bad="raise SystemExit(5)")
    said = run(repository, "--junit", "report.xml")
    assert said.code == 1, said.out + said.err
    assert "tests/test_good.py | trained" in said.out
    assert "failed          tests/test_bad.py: exit code 5" in said.out
    assert "replay: trainci run --id tests/test_bad.py --executor slurm --devices cpu:8" in said.out
    assert 'failures="1"' in (repository.root / "report.xml").read_text()
    told = [event["kind"] for event in events_of(repository) if event.get("test_id") == "tests/test_good.py"]
    assert told == ["queued", "granted", "started", "ended", "verdict"]
    left = [path.name for path in (repository.root / ".trainci/runs").glob("*/*") if "slurm" in path.name]
    assert left == [], "what only the node was to read"


def test_a_dry_run_prints_the_script_and_submits_nothing(repository, slurm_cluster):
    write(repository, good="print('trained')")
    before = slurm_cluster("squeue", "--noheader", "--states=all")
    said = run(repository, "--dry-run")
    assert said.code == 0
    assert "| #SBATCH --job-name=trainci-tests-test_good.py" in said.out
    assert "| #SBATCH --cpus-per-task=2" in said.out
    assert slurm_cluster("squeue", "--noheader", "--states=all") == before
