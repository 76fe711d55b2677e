"""Starts a training script on the devices of the lease."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from trainci.errors import UsageError
from trainci.output.redaction import redact
from trainci.testing.commands import CommandError, exec_command
from trainci.testing.nodes import are_virtual, node_count, on_each_node
from trainci.testing.ray_cluster import ray_cluster
from trainci.testing.ray_node import ray_command
from trainci.testing.ray_ports import free_ports
from trainci.testing.secrets import with_environment

# torchrun's report: "Root Cause (first observed failure):", then "rank : 2 (local_rank: 2)" and "exitcode : 1".
_ROOT_CAUSE = re.compile(
    r"Root Cause \(first observed failure\).*?rank\s*: (?P<rank>\d+).*?exitcode\s*: (?P<code>-?\d+)", re.DOTALL
)
_FAILED_JOB = re.compile(r"Job entrypoint command failed with exit code (?P<code>-?\d+)")
_KEPT_BYTES = 1 << 16


def execute_train(
    script: str | Path,
    args: Sequence[str | os.PathLike[str]],
    *,
    num_gpus_per_node: int,
    launcher: str = "torchrun",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    secret: Iterable[str] = (),
) -> str:
    """Run ``script`` with ``args`` on ``num_gpus_per_node`` devices of each of the test's nodes; what it printed.

    ``launcher`` "torchrun" starts as many ranks by the torchrun of the running interpreter, on the port of the
    lease (``MASTER_PORT``), or a free one outside trainci. "ray" starts a Ray head on the first node and joins the
    others to it, each with as many GPUs, or none on a host without, and submits the script as a job in the current
    directory; the cluster has the ports of the lease and a directory to itself, and it alone is ended with the job.
    ``env``, ``timeout`` (of the training, not of the cluster's start) and ``secret`` are those of ``exec_command``.

    :raises CommandError: a rank failed (the message shows its own last lines), or the job.
    :raises UsageError: an unknown launcher or one that is not installed, ``args`` as one string, or more ranks than
        leased devices.
    :raises MachineError: no Ray cluster starts.
    """
    if isinstance(args, str):
        raise UsageError("execute_train: args must be a list, one string an argument; a string is never split")
    if launcher not in LAUNCHERS:
        raise UsageError(f"execute_train: no launcher {launcher!r}; there are: {', '.join(LAUNCHERS)}")
    leased = os.environ.get("TRAINCI_DEVICES")
    here = node_count() if are_virtual() else 1
    if leased and len(leased.split(",")) // here < num_gpus_per_node:
        raise UsageError(
            f"execute_train: num_gpus_per_node={num_gpus_per_node}, but this test leased {leased}. "
            "Raise NUM_GPUS at the top of the test file."
        )
    command = [str(script), *(os.fspath(argument) for argument in args)]
    return LAUNCHERS[launcher](command, num_gpus_per_node, env or {}, timeout, with_environment(secret, env))


def _torchrun(
    script: list[str], ranks: int, env: Mapping[str, str], timeout: float | None, secret: list[str]
) -> str:
    nodes = node_count()
    # Several nodes see each other's only where the run keeps its own files.
    shared = Path(os.environ["TRAINCI_METRICS_FILE"]).parent if nodes > 1 else None
    with tempfile.TemporaryDirectory(prefix="trainci-ranks-", dir=shared) as logs:
        launch = ["--nnodes", str(nodes), "--nproc-per-node", str(ranks)]
        address = os.environ["MASTER_ADDR"] if nodes > 1 else "127.0.0.1"
        launch += ["--master-addr", address, "--master-port", str(_master_port())]
        launch += ["--log-dir", logs, "--tee", "3"]
        command = on_each_node([sys.executable, "-m", "torch.distributed.run", *launch, *script])
        try:
            return exec_command(
                command,
                timeout=timeout,
                secret=secret,
                env={"TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank${rank}]:", **env},
            )
        except CommandError as error:
            failed = _ROOT_CAUSE.search(error.output)
            if failed is None:
                raise
            rank, code = int(failed["rank"]), int(failed["code"])
            what = f"rank {rank} of {ranks * nodes} failed first, with exit code {code}"
            output = redact(_rank_output(Path(logs), rank % ranks), secret)
            raise CommandError(what, command=error.command, code=code, output=output) from None


def _ray(script: list[str], ranks: int, env: Mapping[str, str], timeout: float | None, secret: list[str]) -> str:
    if importlib.util.find_spec("ray") is None:
        raise UsageError("execute_train: ray is missing: pip install 'trainci[ray]'")
    with ray_cluster(ranks, env) as cluster:
        submit = [
            "job",
            "submit",
            "--log-color",
            "false",
            "--address",
            cluster.address,
            "--",
            sys.executable,
            *script,
        ]
        try:
            # What the job is to find in its environment, it inherits from the cluster.
            return exec_command(ray_command(*submit), timeout=timeout, secret=secret, env=cluster.variables)
        except CommandError as error:
            failed = _FAILED_JOB.search(error.output)
            if failed is None:
                raise
            code = int(failed["code"])
            what = f"the Ray job failed with exit code {code}"
            raise CommandError(what, command=error.command, code=code, output=error.output) from None


LAUNCHERS: dict[str, Callable[[list[str], int, Mapping[str, str], float | None, list[str]], str]] = {
    "torchrun": _torchrun,
    "ray": _ray,
}


def _rank_output(logs: Path, rank: int) -> str:
    """The end of a rank's stdout, then of its stderr, where a traceback is."""
    # torchrun writes RUN_ID/attempt_N/RANK/{stdout,stderr}.log.
    files = sorted(logs.glob(f"*/*/{rank}/*.log"), key=lambda path: path.name == "stderr.log")
    return "".join(map(_end, files))


def _end(log: Path) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _KEPT_BYTES))
        if size > _KEPT_BYTES:
            file.readline()  # its beginning is cut off, perhaps in the middle of a secret
        return file.read().decode(errors="replace")


def _master_port() -> int:
    leased = os.environ.get("MASTER_PORT")
    return int(leased) if leased else free_ports(1)[0]
