"""The Slurm of the slow tests: Debian's, with munge, several nodes of this host and no systemd.

Each cluster has a directory, ports and keys of its own, and all that it started ends with it. ``sacct`` answers
where slurmdbd and MariaDB are installed, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support import unavailable, wait_until

from trainci.testing.ray_ports import free_ports

_TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "slurmdbd", "mariadbd")
_PACKAGES = "slurm-wlm slurmdbd munge mariadb-server"
_CONF = """\
ClusterName=ci
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool-%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
KillWait=2
MinJobAge=300
SlurmctldTimeout=10
SlurmdTimeout=5
MessageTimeout=5
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
{accounting}
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 Gres=gpu:8"
_DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={directory}/slurmdbd.log
PidFile={directory}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""

# slurm.h: slurm_requeue(), JOB_RECONFIG_FAIL. Slurm's plugins want all of the library's names.
_RECONFIGURATION_FAILED = """
import ctypes, glob, sys
(path,) = glob.glob("/usr/lib/*/slurm-wlm/libslurmfull.so")
library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
library.slurm_init(None)
library.slurm_requeue(ctypes.c_uint32(int(sys.argv[1])), ctypes.c_uint32(1 << 17))
"""


class Unavailable(Exception):
    """This host cannot run Slurm; the text says why."""


def require() -> None:
    """Where Slurm cannot be had: fails in CI, skips elsewhere, saying why."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0:
        reason = "it is started as root only"
    elif missing:
        reason = f"{', '.join(missing)} not installed (apt-get install {_PACKAGES})"
    else:
        return
    unavailable(f"Slurm cannot be tested here: {reason}")


class Cluster:
    """A Slurm of ``nodes`` nodes (``n1``, …) with 16 CPUs and 8 GPUs each, which are none.

    ``environment`` is what its commands need. The methods that stop and start parts of it are for faults.
    """

    def __init__(self, directory: Path, nodes: int = 4) -> None:
        self.directory = directory
        self.nodes = tuple(f"n{number}" for number in range(1, nodes + 1))
        self.environment = {"SLURM_CONF": str(directory / "slurm.conf")}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports = free_ports(nodes + 2)

    def __call__(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What a command of Slurm's says."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Start all of it, until every node is idle."""
        self._configure()
        self.start_munge()
        self._start_database()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        wait_until(self._is_ready, "every node of Slurm to be idle")

    def start_munge(self) -> None:
        """Start what says who asks: without it no command is answered."""
        self._start(
            "munged",
            "--foreground",
            "--force",
            f"--key-file={self.directory}/munge.key",
            f"--socket={self.directory}/munge.socket",
            f"--pid-file={self.directory}/munged.pid",
            f"--log-file={self.directory}/munged.log",
            f"--seed-file={self.directory}/munged.seed",
        )
        wait_until((self.directory / "munge.socket").exists, "munge's socket")

    def start_controller(self) -> None:
        """Start slurmctld, which goes on with what it has saved."""
        self._start("slurmctld", "-D")

    def start_node(self, node: str) -> None:
        """Start the slurmd of a node."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def ready(self) -> None:
        """Have every node back that was lost, and wait for all of them."""
        for node in self.nodes:
            if node not in self._processes:
                self.start_node(node)
            self("scontrol", "update", f"nodename={node}", "state=resume", check=False)
        wait_until(self._is_ready, "every node of Slurm to be idle")

    def kill(self, name: str) -> None:
        """Kill slurmctld, the slurmd of a node, or munged; jobs go on."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def fail_to_boot(self, job: str) -> None:
        """Have a job told as one whose node could not be set up (BOOT_FAIL), as what boots nodes for Slurm does."""
        self(sys.executable, "-c", _RECONFIGURATION_FAILED, job)

    def stop(self) -> None:
        """End everything: jobs, then the daemons."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self("scancel", "--user=root", check=False, timeout=20)
            wait_until(lambda: not self("squeue", "--noheader", check=False, timeout=20).strip(), "jobs to end", 20)
        # What they would save is nobody's any more.
        for name in reversed(list(self._processes)):
            self.kill(name)

    def _is_ready(self) -> bool:
        states = self("sinfo", "--noheader", "--Node", "--partition=all", "--format=%T", check=False).split()
        return states == ["idle"] * len(self.nodes)

    def _start(self, *command: str, name: str = "") -> None:
        log = (self.directory / f"{name or command[0]}.out").open("ab")
        with log:
            self._processes[name or command[0]] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": "/root", **self.environment},
                start_new_session=True,
            )

    def _configure(self) -> None:
        host = socket.gethostname().partition(".")[0]
        key = self.directory / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        (self.directory / "state").mkdir()
        controller, database, *node_ports = self._ports
        nodes = [
            _NODE.format(name=name, host=host, port=port) for name, port in zip(self.nodes, node_ports, strict=True)
        ]
        for name in self.nodes:
            (self.directory / f"spool-{name}").mkdir()
        accounting = (
            "AccountingStorageType=accounting_storage/slurmdbd\n"
            f"AccountingStorageHost=127.0.0.1\nAccountingStoragePort={database}\nAccountingStoreFlags=job_comment\n"
            f"AccountingStoragePass={self.directory}/munge.socket"
        )
        (self.directory / "slurm.conf").write_text(
            _CONF.format(
                host=host,
                directory=self.directory,
                controller=controller,
                accounting=accounting,
                nodes="\n".join(nodes),
            )
        )
        (self.directory / "gres.conf").write_text(f"NodeName=n[1-{len(self.nodes)}] Name=gpu File=/dev/tty[0-7]\n")
        dbd = self.directory / "slurmdbd.conf"
        dbd.write_text(_DATABASE.format(host=host, directory=self.directory, port=database))
        dbd.chmod(0o600)

    def _start_database(self) -> None:
        data, run = self.directory / "mariadb", self.directory / "mariadb.sock"
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            capture_output=True,
        )
        self._start(
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--socket={run}",
            "--skip-networking",
            "--innodb-buffer-pool-size=64M",
            f"--pid-file={self.directory}/mariadb.pid",
        )
        wait_until(run.exists, "MariaDB's socket")
        self.environment["MYSQL_UNIX_PORT"] = str(run)
        self._start("slurmdbd", "-D")
        wait_until(lambda: _listens(self._ports[1]), "slurmdbd")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def cluster(nodes: int = 4) -> Iterator[Cluster]:
    """A cluster for as long as the block runs."""
    # Not below pytest's tmp_path: a socket's path may hold 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    one = Cluster(directory, nodes)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(directory, ignore_errors=True)
