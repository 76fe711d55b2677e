"""One suite on this host, on Slurm and on Ray: the same events, reports and exit code, field by field."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import pytest

pytestmark = pytest.mark.slow

TEST = "NUM_GPUS = 2\nimport json, os, signal, sys\n\nif __name__ == '__main__':\n    {body}\n"
BODIES = {
    "good": "print('✓ café \\x1b[31mred'); open(os.environ['TRAINCI_METRICS_FILE'], 'w').write('{\"loss\": 1.5}')",
    "asserts": "assert len(sys.argv) == 2, 'an argument is missing'",
    "chained": "try: {}['a']\n    except KeyError as error: raise ValueError('no a') from error",
    "crashes": "os.kill(os.getpid(), signal.SIGSEGV)",
    "exits": "sys.exit(5)",
    "machine": "print('uncorrectable ECC error encountered'); raise RuntimeError('CUDA error')",
}
PHASED = """\
from trainci.testing import main

NUM_GPUS = 1

if __name__ == "__main__":
    main(prepare=lambda: print("prepared"), execute=lambda: print("executed"))
"""
UNITS = """\
import pytest
def test_good(): pass
@pytest.mark.skip(reason="no need")
def test_skipped(): pass
def test_bad(): assert [1, 2] == [1, 3]
"""
# When, how long, on which devices, as which process: another each time.
OTHERS = {"at", "pid", "devices", "queued_at", "started_at", "ended_at", "time", "timestamp", "run_id", "host"}
VARIES = (
    (re.compile(r"\d{8}-\d{6}-\w{6}"), "RUN"),
    (re.compile(r"\b\d+(\.\d+)? ?s\b"), "N s"),
    (re.compile(r" --executor \w+"), ""),
    (re.compile(r", on each node of \w+|,? on Ray\b.*"), ""),
)


def same(value):
    """``value`` without what is another each time."""
    if isinstance(value, dict):
        return {name: same(each) for name, each in value.items() if name not in OTHERS}
    if isinstance(value, list):
        return [same(each) for each in value]
    if isinstance(value, str):
        for pattern, word in VARIES:
            value = pattern.sub(word, value)
    return value if not isinstance(value, float) else "a number"


def by_test(told):
    found = {}
    for each in told:
        found.setdefault(each.get("test_id", each.get("id", "")), []).append(same(each))
    return found


def of_xml(report):
    """Each test's elements: what they say and hold."""
    cases = {}
    for case in ET.parse(report).iter("testcase"):
        told = [(one.tag, same(dict(one.attrib)), same(one.text)) for one in case.iter()]
        cases.setdefault(f"{case.get('classname')} {case.get('name')}", []).append(told)
    return cases


@pytest.mark.parametrize("engine", ["slurm", "ray"])
def test_a_suite_has_the_same_events_reports_and_exit_code_on_every_executor(
    repository, engine, request, monkeypatch, tmp_path
):
    cluster = request.getfixturevalue("slurm_cluster" if engine == "slurm" else "ray_head")
    where = {"RAY_API_SERVER_ADDRESS": cluster.address} if engine == "ray" else {}
    entries = '"tests/test_*.py", { path = "tests/units.py", runner = "pytest", num_gpus = 0 }'
    repository.write("trainci.toml", f"[verdicts]\nretries = 1\n[suites.short]\ntests = [{entries}]\n")
    for name, body in BODIES.items():
        repository.write(f"tests/test_{name}.py", TEST.format(body=body))
    repository.write("tests/test_phased.py", PHASED)
    repository.write("tests/units.py", UNITS)
    found = []
    for executor in ("local", engine):
        environment = {**cluster.environment, **where, "TRAINCI_LOCK_DIR": str(tmp_path / f"locks-{executor}")}
        words = ("run", "short", "--executor", executor, "--devices", "cpu:16", "--junit", "report.xml", "--json")
        said = repository.trainci(*words, environment=environment)
        (run,) = (repository.root / ".trainci/runs").iterdir()
        lines = (json.loads(line) for line in (run / "events.jsonl").read_text().splitlines())
        events = by_test(event for event in lines if event["kind"] != "waiting")
        value = json.loads(said.out)
        tests = by_test(value.pop("tests"))
        found.append([said.code, events, same(value), tests, of_xml(repository.root / "report.xml")])
        run.rename(tmp_path / f"run-{executor}")
    here, there = found
    assert here[0] == 1 and len(here[1]) == 9
    for one, other in zip(here, there, strict=True):
        assert one == other
