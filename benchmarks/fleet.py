"""A fleet under faults: short tests on a real Slurm of four nodes, while its parts and the client are killed.

`python -m benchmarks.fleet [TESTS]` as root, where Debian's Slurm is installed. What Slurm's own database says of
each job is held against what the run told of it.
"""

from __future__ import annotations

import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import slurm

from trainci.executors.slurm.script import job_name
from trainci.history.event_log import read_events
from trainci.model import events
from trainci.model.run import Ending, Outcome

SEED, TESTS = 14, 500
_SUITES = ("one", "two", "three", "four")
_KINDS = (
    "slurmctld killed",
    "node drained",
    "slurmd killed",
    "queued again",
    "preempted",
    "cancelled",
    "client killed",
)
# At least so often, if the tests last; one fault after another, so that each can be told from the rest.
_PAUSE_S = 2.5
_LONGEST_S = 4.0
_CAUSES = {
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "NODE_FAIL": "node failed",
    "REQUEUED": "queued again",
}
_SCRIPT = """\
set -e
key=$(basename "$TRAINCI_METRICS_FILE" .metrics.jsonl)
echo "$key" >> begun
sleep "$2"
echo "$key" >> done
"""


@dataclass
class Fleet:
    """The cluster, the repository, and the client that is now under way."""

    cluster: slurm.Cluster
    root: Path
    chance: random.Random
    faults: collections.Counter[str] = field(default_factory=collections.Counter)
    client: subprocess.Popen[bytes] | None = None
    struck: dict[str, str] = field(default_factory=dict)
    before: int = 0

    def __post_init__(self) -> None:
        """``before`` is the last job of an earlier run's; ``struck`` what was done to single jobs on purpose."""
        said = self.cluster("sacct", "-X", "-n", "-P", "-o", "JobIDRaw").split()
        self.before = max(map(int, said), default=0)

    def start(self, *words: str) -> None:
        """Start the client, or one that goes on."""
        with (self.root / "client.log").open("ab") as log:
            self.client = subprocess.Popen(
                [sys.executable, "-m", "trainci", "run", *words],
                cwd=self.root,
                env={**os.environ, **self.cluster.environment},
                stdout=log,
                stderr=log,
            )

    def inject(self, kind: str) -> None:
        """One fault, and the repair of what it broke."""
        if {
            "slurmctld killed": self._kill_controller,
            "node drained": self._drain,
            "slurmd killed": self._kill_node,
            "queued again": self._requeue,
            "preempted": self._preempt,
            "cancelled": self._cancel,
            "client killed": self._kill_client,
        }[kind]():
            self.faults[kind] += 1
        self._answers()
        for line in self.cluster("sinfo", "--noheader", "--Node", "--partition=all", "--format=%N|%T").split():
            node, state = line.split("|")
            if state.startswith(("drain", "down")):
                self.cluster("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def is_over(self) -> bool:
        """Whether the run has ended, so that its client only tidies up: what breaks then, nobody mends."""
        (run,) = (self.root / ".trainci/runs").iterdir()
        return any(isinstance(event, events.RunEnded) for event in read_events(run / "events.jsonl"))

    def _running(self, pattern: str = "trainci-") -> str:
        """A job whose command has not ended, of which Slurm may not know."""
        said = self.cluster("squeue", "--noheader", "--states=R", "--format=%i|%j %D", check=False)
        alive = {entry for path in Path("/proc").glob("[0-9]*/environ") for entry in _variables(path)}
        jobs = [line.split("|") for line in said.splitlines()]
        jobs = [job for job, name in jobs if re.match(pattern, name) and f"SLURM_JOB_ID={job}" in alive]
        return self.chance.choice(jobs) if jobs else ""

    def _kill_controller(self) -> bool:
        self.cluster.kill("slurmctld")
        time.sleep(self.chance.uniform(0.5, 3.0))
        self.cluster.start_controller()
        self._answers()
        return True

    def _answers(self) -> None:
        while not self.cluster("sinfo", "--noheader", check=False, timeout=60):
            time.sleep(0.2)

    def _drain(self) -> bool:
        node = self.chance.choice(self.cluster.nodes)
        self.cluster("scontrol", "update", f"nodename={node}", "state=drain", "reason=benchmark", check=False)
        time.sleep(2)
        self.cluster("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        return True

    def _kill_node(self) -> bool:
        node = self.chance.choice(self.cluster.nodes)
        self.cluster.kill(node)
        self.cluster("scontrol", "update", f"nodename={node}", "state=down", "reason=benchmark", check=False)
        time.sleep(2)
        self.cluster.start_node(node)
        self.cluster("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        return True

    def _requeue(self) -> bool:
        job = self._running()
        if not job:
            return False
        self.cluster("scontrol", "update", f"jobid={job}", "requeue=1", check=False)
        return self._strike(job, "queued again", "scontrol", "requeue", job)

    def _strike(self, job: str, how: str, *command: str) -> bool:
        """Whether Slurm did that to the job, which may have ended meanwhile."""
        try:
            self.cluster(*command)
        except AssertionError:
            return False
        self.struck[job] = how
        return True

    def _preempt(self) -> bool:
        node = self.chance.choice(self.cluster.nodes)
        words = ("--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        self.cluster("sbatch", *words, check=False)
        return True

    def _cancel(self) -> bool:
        # Whoever cancels an allocation cancels all that was to run in it: one of the few tests of two nodes, once.
        once = "cancelled" not in self.struck.values()
        job = self._running("trainci-(?!pack-)") or (once and self._running("trainci-pack-.* 2$"))
        return bool(job) and self._strike(job, "cancelled", "scancel", "--verbose", job)

    def _kill_client(self) -> bool:
        assert self.client is not None
        (run,) = (self.root / ".trainci/runs").iterdir()
        self.client.kill()
        self.client.wait()
        self.start("--attach", run.name)
        return True


@dataclass(frozen=True)
class Measured:
    """One run: its counts by what they count, and the sentence of its faults."""

    counts: dict[str, str]
    injected: str


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TESTS
    runs: dict[str, Measured] = {}
    with slurm.cluster() as cluster:
        for faulty in (True, False):
            for packed in (False, True):
                cluster.ready()
                name = f"{'packed' if packed else 'one job a test'}{', faults' if faulty else ''}"
                runs[name] = _run(cluster, count, packed, faulty)
                _write_down(runs, count)


def _run(cluster: slurm.Cluster, count: int, packed: bool, faulty: bool) -> Measured:
    chance = random.Random(SEED)
    root = Path(tempfile.mkdtemp(prefix="trainci-fleet-"))
    device_seconds = _write(root, count, chance, packed)
    fleet = Fleet(cluster, root, chance)
    began = time.monotonic()
    fleet.start(*_SUITES, "--executor", "slurm", "--devices", "cpu:16")
    assert fleet.client is not None
    try:
        _until_it_ends(fleet, faulty, packed)
    finally:
        fleet.client.kill()
    took = time.monotonic() - began
    counts = {
        "seconds": f"{took:.0f}",
        "seconds of devices, spread evenly over 64": f"{device_seconds / 64:.0f}",
        "load": f"{os.getloadavg()[0]:.1f}",
        "exit code": str(fleet.client.returncode),
        **_judge(fleet, count),
    }
    shutil.rmtree(root)
    return Measured(counts, ", ".join(f"{kind} {number}" for kind, number in sorted(fleet.faults.items())))


def _until_it_ends(fleet: Fleet, faulty: bool, packed: bool) -> None:
    assert fleet.client is not None
    faults = iter([])
    # At least twenty, in a packed run, too, which is shorter.
    kills = (6 if packed else 2) * ("slurmctld killed",)
    while fleet.client.poll() is None:
        if not faulty:
            time.sleep(0.2)
            continue
        time.sleep(_PAUSE_S)
        kind = next(faults, "")
        if not kind:
            # A controller that is killed more often than anything else.
            faults = iter(fleet.chance.sample((*_KINDS, *kills), len(_KINDS) + len(kills)))
        elif fleet.client.poll() is None and (fleet.root / "begun").exists() and not fleet.is_over():
            fleet.inject(kind)


def _write_down(runs: Mapping[str, Measured], count: int) -> None:
    kinds = dict.fromkeys(kind for run in runs.values() for kind in run.counts)
    rows = [["what", *runs], *([kind, *(run.counts.get(kind, "0") for run in runs.values())] for kind in kinds)]
    faults = "; ".join(f"{name}: {run.injected}" for name, run in runs.items() if run.injected)
    notes = (
        f"{count} tests of up to {_LONGEST_S:g} s (1 to 8 virtual devices on a node, 5 % of them 8 on each of two) "
        f"of {len(_SUITES)} suites on 4 slurmd with 16 each, all on one host, seed {SEED}. Packed: an allocation "
        "of 16 devices a suite, and one of two nodes for its tests of two nodes. Between the seconds and those of "
        f"devices are this host's cores, which start every daemon, client and test. Faults injected: {faults}."
    )
    measure.record("fleet", "Tests on Slurm while its parts are killed", rows, notes)


def _write(root: Path, count: int, chance: random.Random, packed: bool) -> float:
    """The repository; the seconds that its tests hold a device, each."""
    entries: dict[str, list[str]] = {suite: [] for suite in _SUITES}
    total = 0.0
    for number in range(count):
        sleeps = round(chance.uniform(0.2, _LONGEST_S), 2)
        nodes = 2 if chance.random() < 0.05 else 1
        gpus = 8 if nodes == 2 else chance.choice((1, 1, 1, 2, 2, 4, 8))
        total += sleeps * nodes * gpus
        entries[_SUITES[number % len(_SUITES)]].append(
            f'  {{ path = "tests/short.sh", args = ["{number}", "{sleeps}"], '
            f"num_gpus = {gpus}, num_nodes = {nodes} }},\n"
        )
    setup = f"export TRAINCI_LOCK_DIR={root}/locks-$SLURMD_NODENAME"
    (root / "tests").mkdir()
    (root / "tests/short.sh").write_text(_SCRIPT)
    (root / "trainci.toml").write_text(
        f"[executors.slurm]\nin_flight = 40\nsetup = ['{setup}']\n[verdicts]\nretries = 10\n"
        + "".join(
            f"[suites.{suite}]\npack = {str(packed).lower()}\ntests = [\n{''.join(some)}]\n"
            for suite, some in entries.items()
        )
    )
    return total


def _judge(fleet: Fleet, count: int) -> dict[str, str]:
    (run,) = (fleet.root / ".trainci/runs").iterdir()
    told = list(read_events(run / "events.jsonl"))
    concluded = [event for event in told if isinstance(event, events.Concluded)]
    verdicts = collections.Counter(event.test_id for event in concluded)
    outcomes = collections.Counter(event.verdict.outcome.value for event in concluded)
    ended = [event.ending for event in told if isinstance(event, events.Ended)]
    begun = collections.Counter((fleet.root / "begun").read_text().split())
    done = collections.Counter((fleet.root / "done").read_text().split())
    passed = sum(ending.passed for ending in ended)
    told_of = {(job, ending.cause.value) for ending in ended for job in re.findall(r"\bjob (\d+)\b", ending.detail)}
    said = fleet.cluster("sacct", "-X", "-n", "-P", "--duplicates", "-o", "JobIDRaw,State,JobName", timeout=120)
    good = {job_name(event.test_id) for event in concluded if event.verdict.outcome is Outcome.PASSED}
    judged = collections.Counter[str]()
    for job, state, name in (line.split("|")[:3] for line in said.splitlines()):
        cause = _CAUSES.get(state.split()[0])
        if cause is not None and name.startswith("trainci-") and int(job) > fleet.before:
            judged[_how_told(job, cause, name, told_of, good)] += 1
    for job, how in sorted(fleet.struck.items()):
        told = " or ".join(sorted(cause for other, cause in told_of if other == job)) or "nothing"
        judged[f"ended, {how} on purpose, told {told}"] += 1
    for job, cause in sorted(told_of):
        if cause not in ("preempted", "node failed", "lost", fleet.struck.get(job)):
            judged[f"ended, told {cause}, which nobody did"] += 1
            _show(fleet, job, ended)
    # What its end was ordered of may still be completing.
    alive = fleet.cluster("squeue", "--noheader", "--states=PD,R,S", "--format=%i|%j").split()
    left = [line for line in alive if "trainci-" in line]
    processes = [path for path in Path("/proc").glob("[0-9]*/environ") if _is_ours(path, fleet.root)]
    counts = {
        "tests": count,
        "lost: without exactly one verdict": count - sum(number == 1 for number in verdicts.values()),
        "attempts that were begun twice": sum(number > 1 for number in begun.values()),
        "attempts that passed and did not run to their end": max(0, passed - len(done)),
        "jobs left over": len(left),
        "processes left over": len(processes),
        "folders of jobs left over": len(list(run.glob("*.job"))),
        **{f"verdict: {outcome}": number for outcome, number in sorted(outcomes.items())},
        **{f"jobs that Slurm {how}": number for how, number in sorted(judged.items())},
    }
    return {what: str(number) for what, number in counts.items()}


def _how_told(job: str, cause: str, name: str, told_of: set[tuple[str, str]], good: set[str]) -> str:
    """What the run told of a job that Slurm's database says had this end."""
    told = sorted(told for other, told in told_of if other == job)
    if cause in told or "queued again" in told:
        return f"says were {cause}, told so"
    if told:
        return f"ended, told {told[0]}" if told[0] != "lost" else "ended, told that it had forgotten them"
    if name.startswith("trainci-pack-"):
        return "ended, an allocation in which nothing ran"
    if name in good:
        return "ended, told nothing of it, and its test passed"
    print(f"told nothing of it: {job} {name} {cause}", flush=True)
    return "ended, told nothing of it"


def _show(fleet: Fleet, job: str, ended: list[Ending]) -> None:
    """All that is known of a job, by which to find why it was told so."""
    print(*(ending for ending in ended if f"job {job} " in ending.detail), sep="\n")
    print(
        fleet.cluster(
            "sacct", "-j", job, "--duplicates", "-P", "-o", "JobIDRaw,State,Submit,Start,End,NodeList,Comment"
        )
    )
    for log in sorted(fleet.cluster.directory.glob("slurm*.log")):
        for line in log.read_text(errors="replace").splitlines():
            if re.search(rf"\b(JobId=|job ?|StepId=){job}\b|slurmctld version|_slurm_rpc_kill", line):
                print(log.name, line)
    print(flush=True)


def _is_ours(environ: Path, root: Path) -> bool:
    told = _variables(environ)
    return any(entry.startswith("TRAINCI_LEASE=") for entry in told) and any(str(root) in entry for entry in told)


def _variables(environ: Path) -> list[str]:
    try:
        return environ.read_text(errors="replace").split("\0")
    except OSError:
        return []


if __name__ == "__main__":
    main()
