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
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import measure

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import slurm

from trainci.executors.slurm.script import job_name
from trainci.history.event_log import read_events
from trainci.model import events
from trainci.model.run import Outcome

SEED, TESTS = 14, 500
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
_PAUSE_S = 4.0
_CAUSES = {
    "CANCELLED": "cancelled",
    "PREEMPTED": "preempted",
    "NODE_FAIL": "node failed",
    "REQUEUED": "queued again",
}
_SCRIPT = """\
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
    cancelled: list[str] = field(default_factory=list)

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

    def _running(self) -> str:
        said = self.cluster("squeue", "--noheader", "--states=R", "--format=%i|%j", check=False)
        jobs = [line.partition("|")[0] for line in said.split() if "|trainci-" in line]
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
        self.cluster("scontrol", "update", f"jobid={job}", "requeue=1", check=False)
        self.cluster("scontrol", "requeue", job, check=False)
        return bool(job)

    def _preempt(self) -> bool:
        node = self.chance.choice(self.cluster.nodes)
        words = ("--partition=urgent", f"--nodelist={node}", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
        self.cluster("sbatch", *words, check=False)
        return True

    def _cancel(self) -> bool:
        job = self._running()
        self.cluster("scancel", job, check=False)
        self.cancelled.append(job)
        return bool(job)

    def _kill_client(self) -> bool:
        assert self.client is not None
        self.client.kill()
        self.client.wait()
        (run,) = (self.root / ".trainci/runs").iterdir()
        self.start("--attach", run.name)
        return True


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TESTS
    chance = random.Random(SEED)
    root = Path(tempfile.mkdtemp(prefix="trainci-fleet-"))
    seconds = _write(root, count, chance)
    with slurm.cluster() as cluster:
        fleet = Fleet(cluster, root, chance)
        began = time.monotonic()
        fleet.start("short", "--executor", "slurm", "--devices", "cpu:16")
        assert fleet.client is not None
        faults = iter([])
        while fleet.client.poll() is None:
            time.sleep(_PAUSE_S)
            kind = next(faults, "")
            if not kind:
                # A controller that is killed twice as often as anything else.
                faults = iter(chance.sample((*_KINDS, "slurmctld killed"), len(_KINDS) + 1))
            elif fleet.client.poll() is None and (root / "begun").exists():
                fleet.inject(kind)
        took = time.monotonic() - began
        code = fleet.client.returncode
        rows = _judge(fleet, count)
    injected = ", ".join(f"{kind} {number}" for kind, number in sorted(fleet.faults.items()))
    notes = (
        f"{count} tests (1 to 8 virtual devices on a node, 5 % of them 8 on each of two) on 4 slurmd with 16 each, "
        f"all on one host, seed {SEED}. Makespan {took:.0f} s with all faults, against {seconds / 64:.0f} s of "
        "device time spread evenly; between the two are this host's cores, which start every daemon, client and "
        f"test. Exit code {code}. Faults injected: {injected}"
    )
    measure.record("fleet", "Tests on Slurm while its parts are killed", [["what", "count"], *rows], f"{notes}.")
    shutil.rmtree(root)


def _write(root: Path, count: int, chance: random.Random) -> float:
    """The repository; the seconds that its tests hold a device, each."""
    entries, total = [], 0.0
    for number in range(count):
        sleeps = round(chance.uniform(0.2, 1.5), 2)
        nodes = 2 if chance.random() < 0.05 else 1
        gpus = 8 if nodes == 2 else chance.choice((1, 1, 1, 2, 2, 4, 8))
        total += sleeps * nodes * gpus
        entries.append(
            f'  {{ path = "tests/short.sh", args = ["{number}", "{sleeps}"], '
            f"num_gpus = {gpus}, num_nodes = {nodes} }},"
        )
    setup = f"export TRAINCI_LOCK_DIR={root}/locks-$SLURMD_NODENAME"
    (root / "tests").mkdir()
    (root / "tests/short.sh").write_text(_SCRIPT)
    (root / "trainci.toml").write_text(
        f"[executors.slurm]\nin_flight = 40\nsetup = ['{setup}']\n[verdicts]\nretries = 10\n"
        "[suites.short]\ntests = [\n" + "\n".join(entries) + "\n]\n"
    )
    return total


def _judge(fleet: Fleet, count: int) -> list[list[str]]:
    (run,) = (fleet.root / ".trainci/runs").iterdir()
    told = list(read_events(run / "events.jsonl"))
    concluded = [event for event in told if isinstance(event, events.Concluded)]
    verdicts = collections.Counter(event.test_id for event in concluded)
    outcomes = collections.Counter(event.verdict.outcome.value for event in concluded)
    ended = [event.ending for event in told if isinstance(event, events.Ended)]
    begun = collections.Counter((fleet.root / "begun").read_text().split())
    done = collections.Counter((fleet.root / "done").read_text().split())
    passed = sum(ending.passed for ending in ended)
    named = [(re.findall(r"job (\d+) of Slurm", ending.detail), ending.cause.value) for ending in ended]
    caused = {(jobs[0], cause) for jobs, cause in named if jobs}
    said = fleet.cluster("sacct", "-X", "-n", "-P", "--duplicates", "-o", "JobIDRaw,State,JobName", timeout=120)
    tests = {job_name(event.test_id) for event in concluded if event.verdict.outcome is Outcome.PASSED}
    wrong, right = collections.Counter[str](), collections.Counter[str]()
    for line in said.splitlines():
        job, state, name = line.split("|")
        cause = _CAUSES.get(state.split()[0])
        if cause is None or not name.startswith("trainci-"):
            continue
        if (job, cause) in caused or any(one == job and other == "queued again" for one, other in caused):
            right[cause] += 1
        else:
            others = [other for one, other in caused if one == job]
            passed_then = "told nothing of it, and its test passed" if name in tests else "told nothing of it"
            wrong[f"told {others[0]}" if others else passed_then] += 1
    left = [line for line in fleet.cluster("squeue", "--noheader", "--format=%i|%j").split() if "trainci-" in line]
    processes = [path for path in Path("/proc").glob("[0-9]*/environ") if _is_ours(path, fleet.root)]
    return [
        ["tests", str(count)],
        ["lost: without exactly one verdict", str(count - sum(number == 1 for number in verdicts.values()))],
        ["attempts that were begun twice", str(sum(number > 1 for number in begun.values()))],
        ["attempts that passed and did not run to their end", str(max(0, passed - len(done)))],
        ["jobs left over", str(len(left))],
        ["processes left over", str(len(processes))],
        ["folders of jobs left over", str(len(list(run.glob("*.job"))))],
        *([f"verdict: {outcome}", str(number)] for outcome, number in sorted(outcomes.items())),
        *([f"jobs that Slurm says were {cause}, told so", str(number)] for cause, number in sorted(right.items())),
        *([f"jobs that Slurm ended, told otherwise: {how}", str(number)] for how, number in sorted(wrong.items())),
        ["told as cancelled", str(sum(cause == "cancelled" for _, cause in caused))],
        [
            "of these, jobs that were cancelled on purpose",
            str(sum(cause == "cancelled" and job in fleet.cancelled for job, cause in caused)),
        ],
    ]


def _is_ours(environ: Path, root: Path) -> bool:
    try:
        return b"TRAINCI_LEASE=" in environ.read_bytes() and str(root).encode() in environ.read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    main()
