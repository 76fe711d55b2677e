"""Faults, injected into real processes of this host: what they print and how they end is what trainci has to judge.

`python -m verdict.injections` (from tests) runs them all and writes what came of them into tests/cases/verdicts.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verdict.cases import ROOT

_CGROUPS = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class Injection:
    """A program, how it is started and around it what is broken; ``expected`` as in a case.

    ``around`` gives variables of its environment. ``facts`` are known beside how it ended.
    """

    expected: dict[str, Any]
    program: str
    command: tuple[str, ...] = (sys.executable, "job.py")
    around: Callable[[Path], contextlib.AbstractContextManager[dict[str, str]]] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 120
    root_only: bool = False


def expect(blame: str, rule: str = "", evidence: str = "", outcome: str = "") -> dict[str, Any]:
    outcomes = {"code": "failed", "config": "failed", "machine": "machine's fault", "unsure": "unsure"}
    said = {"outcome": outcome or outcomes[blame], "blame": blame, "rule": rule, "evidence": evidence}
    return {key: value for key, value in said.items() if value}


def _torchrun(*, ranks: int = 2, port: str = "") -> tuple[str, ...]:
    where = ("--master-port", port) if port else ("--standalone",)
    return (sys.executable, "-m", "torch.distributed.run", *where, f"--nproc-per-node={ranks}", "job.py")


_RANKS = """
import datetime, os, signal, sys, time
import torch, torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
rank = dist.get_rank()
for step in range(3):
    total = torch.ones(4) * rank
    dist.all_reduce(total)
    if rank == 0:
        print(f"step {step} loss {1 / (step + 1):.3f}", flush=True)
"""
_NO_INDEX = "https://index.example/simple"
_HUB = """
import os
from huggingface_hub import snapshot_download
print("downloads the model", flush=True)
snapshot_download("Qwen/Qwen2.5-0.5B", cache_dir="cache")
"""


@contextlib.contextmanager
def _hub(answer: int, failures: int = 1 << 30) -> Iterator[dict[str, str]]:
    """A hub that answers its first requests with ``answer``, or never if that is 0."""
    left = [failures]
    gone = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            left[0] -= 1
            if not answer:
                gone.wait(2)  # its client waits as long as that, and is answered by the end of the connection
                return
            self.send_response(answer if left[0] >= 0 else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"{}")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield {"HF_ENDPOINT": url, "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "URL": url}
    finally:
        gone.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def _taken_port(_: Path) -> Iterator[dict[str, str]]:
    with socket.create_server(("0.0.0.0", 29551)):
        yield {}


@contextlib.contextmanager
def _mounted(directory: Path, options: str) -> Iterator[dict[str, str]]:
    place = directory / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield {}
    finally:
        subprocess.run(["umount", str(place)], check=True)


_SMALL_SHM = (
    "unshare",
    "-m",
    "sh",
    "-c",
    f"mount -t tmpfs -o size=256k tmpfs /dev/shm && exec {sys.executable} job.py",
)
_SMALL_MEMORY = ("sh", "-c", f'echo $$ > "$CGROUP/cgroup.procs" && exec {sys.executable} job.py')


@contextlib.contextmanager
def _cgroup(_: Path) -> Iterator[dict[str, str]]:
    place = _CGROUPS / f"verdict-{os.getpid()}"
    place.mkdir()
    try:
        (place / "memory.limit_in_bytes").write_text(str(48 << 20))
        yield {"CGROUP": str(place)}
    finally:
        place.rmdir()


_NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_ETAG_TIMEOUT": "1"}

INJECTIONS: dict[str, Injection] = {
    "rank_killed": Injection(
        expect("machine", "rank-sigkill"),
        _RANKS + "if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\ndist.all_reduce(total)\n",
        _torchrun(),
        facts={"kernel_oom": False, "timed_out": False},
    ),
    "rank_raises_others_wait": Injection(
        expect("code", "exception", "no such reward"),
        _RANKS + "if rank == 1: raise LookupError('no such reward')\ndist.all_reduce(total)\n",
        _torchrun(ranks=3),
    ),
    "rank_raises_a_general_error": Injection(
        expect("code", "exception", "reward model"),
        _RANKS + "if rank == 2: raise RuntimeError('the reward model gave 3 of 4')\ndist.all_reduce(total)\n",
        _torchrun(ranks=3),
    ),
    "rank_asserts_nan": Injection(
        expect("code", "nan", "loss is nan"),
        _RANKS + "loss = total.sum() * float('nan')\nif rank == 1: assert loss == loss, f'loss is {loss}'\n"
        "dist.all_reduce(total)\n",
        _torchrun(),
    ),
    "rank_has_wrong_shape": Injection(
        expect("code", "wrong-shape"),
        _RANKS + "if rank == 1: torch.ones(4, 8) @ torch.ones(16, 4)\ndist.all_reduce(total)\n",
        _torchrun(),
    ),
    "rank_exits_silently": Injection(
        expect("code"), _RANKS + "if rank == 1: os._exit(1)\ndist.all_reduce(total)\n", _torchrun()
    ),
    "rank_never_comes": Injection(
        expect("unsure"),
        # As long as the ranks of a busy host may need to meet, too.
        _RANKS.replace("=60", "=15") + "if rank == 1: time.sleep(60)\nelse: dist.all_reduce(total)\n",
        _torchrun(),
    ),
    "collectives_of_two_sizes": Injection(
        expect("code"),
        _RANKS + "dist.all_reduce(torch.ones(4 if rank else 4096))\n",
        _torchrun(),
    ),
    "rendezvous_port_taken": Injection(
        expect("machine", "port-in-use"), _RANKS, _torchrun(port="29551"), around=_taken_port
    ),
    "server_port_taken": Injection(
        expect("machine", "port-in-use"),
        "import http.server\nhttp.server.HTTPServer(('0.0.0.0', 29551), http.server.SimpleHTTPRequestHandler)\n",
        around=_taken_port,
    ),
    "hub_answers_429": Injection(expect("machine", "hub-rate-limit"), _HUB, around=lambda _: _hub(429)),
    "hub_answers_503": Injection(expect("machine", "hub-error"), _HUB, around=lambda _: _hub(503)),
    "hub_stalls": Injection(expect("machine"), _HUB, around=lambda _: _hub(0)),
    "hub_is_not_there": Injection(expect("machine"), _HUB, around=lambda _: contextlib.nullcontext(_NO_HUB)),
    "hub_is_off": Injection(
        expect("config", "hub-offline-mode"), _HUB, around=lambda _: contextlib.nullcontext({"HF_HUB_OFFLINE": "1"})
    ),
    "hub_429_retried_then_assertion": Injection(
        expect("code", "assertion"),
        """
import os, time, urllib.error, urllib.request
for attempt in range(5):
    try:
        urllib.request.urlopen(os.environ["URL"])
        break
    except urllib.error.HTTPError as error:
        print(f"WARNING: {error.url} answered HTTP Error {error.code}: Too Many Requests; attempt {attempt + 1}/5")
loss = 2.5
assert loss < 2, f"the loss is {loss}"
""",
        around=lambda _: _hub(429, 2),
    ),
    "transformers_hub_503": Injection(
        expect("machine"),
        'from transformers import AutoConfig\nAutoConfig.from_pretrained("Qwen/Qwen2.5-0.5B", cache_dir="cache")\n',
        around=lambda _: _hub(503),
    ),
    "checkpoint_disk_full": Injection(
        expect("machine"),
        'import torch\nprint("saves")\ntorch.save(torch.ones(1 << 20), "disk/iter_10.pt")\n',
        around=lambda directory: _mounted(directory, "size=1m"),
        root_only=True,
    ),
    "log_disk_full": Injection(
        expect("machine", "disk-full"),
        'with open("disk/out.jsonl", "w") as file:\n    for step in range(1 << 20): print(step, file=file)\n',
        around=lambda directory: _mounted(directory, "size=1m"),
        root_only=True,
    ),
    "child_disk_full": Injection(
        expect("machine", "disk-full"),
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'open(\"disk/x\", \"wb\").write(bytes(1 << 22))'], check=True)\n",
        around=lambda directory: _mounted(directory, "size=1m"),
        root_only=True,
    ),
    "read_only_disk": Injection(
        expect("machine", "file-system-broken"),
        'open("disk/x", "w")\n',
        around=lambda directory: _mounted(directory, "ro,size=1m"),
        root_only=True,
    ),
    "shm_full": Injection(
        expect("machine"),
        """
import torch
from torch.utils.data import DataLoader, Dataset
class Rows(Dataset):
    def __len__(self): return 64
    def __getitem__(self, i): return torch.ones(1 << 18)
if __name__ == "__main__":
    for batch in DataLoader(Rows(), batch_size=8, num_workers=2):
        print(batch.shape)
""",
        _SMALL_SHM,
        root_only=True,
    ),
    "out_of_memory_in_its_cgroup": Injection(
        expect("unsure", "kernel-oom"),
        'print("allocates", flush=True)\nheld = [bytearray(1 << 20) for _ in range(1 << 12)]\n',
        _SMALL_MEMORY,
        around=_cgroup,
        facts={"kernel_oom": True},
        root_only=True,
    ),
    "missing_module": Injection(expect("code", "import-error"), "import posttrain_rollouts\n"),
    "syntax_error": Injection(expect("code", "import-error"), "def f(:\n    pass\n"),
    "illegal_instruction": Injection(
        expect("unsure"),
        "import ctypes, mmap\ncode = mmap.mmap(-1, 4096, prot=7)\ncode.write(b'\\x0f\\x0b')\n"
        "ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()\n",
    ),
    "segmentation_fault": Injection(
        expect("code", "crash"), "import ctypes, faulthandler\nfaulthandler.enable()\nctypes.string_at(0)\n"
    ),
    "bus_error": Injection(
        expect("unsure"),
        "import faulthandler, mmap\nfaulthandler.enable()\nwith open('data', 'w+b') as file:\n"
        "    file.truncate(8192)\n    data = mmap.mmap(file.fileno(), 8192)\n    file.truncate(0)\n"
        "    data[4096]\n",
    ),
    "abort": Injection(expect("code", "crash"), "import os\nos.abort()\n"),
    "worker_of_a_loader_raises": Injection(
        expect("code", "exception", "KeyError"),
        """
from torch.utils.data import DataLoader
class Rows:
    def __len__(self): return 8
    def __getitem__(self, i): return {"prompt": "x"}["text"]
if __name__ == "__main__":
    next(iter(DataLoader(Rows(), num_workers=2)))
""",
    ),
    "worker_of_a_loader_killed": Injection(
        expect("machine", "rank-sigkill"),
        """
import os
from torch.utils.data import DataLoader
class Rows:
    def __len__(self): return 8
    def __getitem__(self, i): os.kill(os.getpid(), 9)
if __name__ == "__main__":
    next(iter(DataLoader(Rows(), num_workers=2)))
""",
        facts={"kernel_oom": False, "timed_out": False},
    ),
    "spawned_rank_asserts": Injection(
        expect("code", "assertion"),
        """
import torch.multiprocessing as mp
def work(rank):
    assert rank != 1, "rank 1 has other weights"
if __name__ == "__main__":
    mp.spawn(work, nprocs=2)
""",
    ),
    "pool_worker_raises": Injection(
        expect("code", "exception", "ZeroDivisionError"),
        "import multiprocessing\nif __name__ == '__main__':\n"
        "    multiprocessing.Pool(2).map(lambda_ := (1).__truediv__, [1])\n"
        "    multiprocessing.Pool(2).map((1).__floordiv__, [0])\n",
    ),
    "ray_task_raises": Injection(
        expect("code", "exception", "KeyError"),
        """
import ray
ray.init(num_cpus=1, include_dashboard=False)
@ray.remote
def rollout():
    return {}["reward"]
ray.get(rollout.remote())
""",
        facts={},
    ),
    "ray_actor_killed": Injection(
        expect("unsure", "ray-worker-ended"),
        """
import os
import ray
ray.init(num_cpus=1, include_dashboard=False)
@ray.remote
class Trainer:
    def step(self): os.kill(os.getpid(), 9)
ray.get(Trainer.remote().step.remote())
""",
    ),
    "ray_is_not_there": Injection(
        expect("machine", "ray-cluster"),
        'import ray\nray.init(address="127.0.0.1:9")\n',
        ("timeout", "--kill-after=1", "20", sys.executable, "job.py"),
        facts={"timed_out": True},
    ),
    "name_is_not_resolved": Injection(
        expect("machine", "dns"), 'import urllib.request\nurllib.request.urlopen("https://data.example/x")\n'
    ),
    "clone_of_no_host": Injection(
        expect("machine", "git-fetch"), "", ("git", "clone", "https://git.example/you/repo.git", "repo")
    ),
    "index_is_not_there": Injection(
        expect("machine"),
        "",
        (sys.executable, "-m", "pip", "--isolated", "install", "--retries", "2", "-i", _NO_INDEX, "no-such"),
    ),
    "proxy_is_not_there": Injection(
        expect("machine", "proxy"),
        'import requests\nrequests.get("https://data.example/x", proxies={"https": "http://127.0.0.1:9"})\n',
    ),
    "pytest_assertion_prints_429": Injection(
        expect("code", "assertion"),
        "def test_gives_up():\n    print('429 Client Error: Too Many Requests for url: https://huggingface.co/x')\n"
        "    print('OSError: [Errno 28] No space left on device')\n    assert 1 + 1 == 3\n",
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "job.py"),
    ),
    "pytest_expected_errors_then_a_bug": Injection(
        expect("code", "exception", "KeyError"),
        "import logging\n\ndef test_says_no():\n    logging.error('ConnectionResetError: [Errno 104] by hf.co')\n\n"
        "def test_bug():\n    {}['reward']\n",
        (sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-o", "log_cli=true", "job.py"),
    ),
    "pytest_hub_503": Injection(
        expect("machine"),
        "def test_loads():\n    from huggingface_hub import hf_hub_download\n"
        "    hf_hub_download('Qwen/Qwen2.5-0.5B', 'config.json', cache_dir='cache')\n",
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "job.py"),
        around=lambda _: _hub(503),
    ),
    "pytest_child_fails_by_the_hub": Injection(
        expect("machine"),
        "import subprocess, sys\n\ndef test_trains():\n    done = subprocess.run([sys.executable, '-c', "
        '\'from huggingface_hub import hf_hub_download as d; d("a/b", "c", cache_dir="cache")\'])\n'
        "    assert done.returncode == 0\n",
        (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "job.py"),
        around=lambda _: _hub(503),
    ),
    "numbers_differ": Injection(
        expect("code", "numbers-differ"),
        "import torch\ntorch.testing.assert_close(torch.ones(4), torch.ones(4) * 1.01)\n",
    ),
    "no_cuda_in_torch": Injection(
        expect("config", "cuda-not-compiled"), 'import torch\ntorch.ones(1, device="cuda")\n'
    ),
    "too_slow": Injection(
        expect("unsure", "time-limit", outcome="timed out"),
        "import time\nfor step in range(3):\n    print('step', step, flush=True)\ntime.sleep(60)\n",
        ("timeout", "--signal=TERM", "4", sys.executable, "job.py"),
        facts={"timed_out": True},
    ),
    "program_is_missing": Injection(expect("config", "tool-missing"), "", ("bash", "-c", "nvidia-smiley -L")),
    "too_many_open_files": Injection(
        expect("code", "exception"),
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
        "files = [open(__file__) for _ in range(64)]\n",
    ),
}


def inject(injection: Injection, directory: Path) -> tuple[bytes, dict[str, Any]]:
    """What the program prints, with no path of this host in it, and the facts of its ending."""
    (directory / "job.py").write_text(injection.program)
    with contextlib.ExitStack() as stack:
        variables = stack.enter_context(injection.around(directory)) if injection.around else {}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "HF_HOME": str(directory / "home"), **variables}
        done = subprocess.run(
            injection.command,
            cwd=directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=injection.seconds,
            check=False,
        )
    ending = {"exit_code": done.returncode} if done.returncode >= 0 else {"signal": -done.returncode}
    return _anonymous(done.stdout, directory), {**ending, **injection.facts}


def _anonymous(log: bytes, directory: Path) -> bytes:
    replaced = {
        str(directory): "/job",
        sysconfig.get_paths()["purelib"]: "/usr/lib/python3/site-packages",
        sys.prefix: "/usr",
        sys.base_prefix: "/usr",
        socket.gethostname(): "gpu-01",
    }
    for place, shown in replaced.items():
        log = log.replace(place.encode(), shown.encode())
    return re.sub(rb"/(?:tmp|root|home)/[\w./-]*", b"/tmp/x", log)


def can_run(injection: Injection) -> bool:
    """Whether this host allows it."""
    return not injection.root_only or (os.geteuid() == 0 and _CGROUPS.is_dir())


def main() -> None:
    for name in sys.argv[1:] or INJECTIONS:
        injection = INJECTIONS[name]
        if not can_run(injection):
            continue
        with tempfile.TemporaryDirectory() as directory:
            log, facts = inject(injection, Path(directory))
        folder = ROOT / f"injected_{name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log").write_bytes(log)
        (folder / "facts.json").write_text(json.dumps(facts) + "\n")
        (folder / "expected.json").write_text(json.dumps(injection.expected) + "\n")
        print(name, facts, f"{len(log)} bytes", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    main()
