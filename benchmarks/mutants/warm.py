"""A Python that has torch, transformers and Megatron behind it: what a test starts with it is a fork of that one.

Half of what a test costs are the imports of its processes, which are the same for every mutant. ``Warm`` starts a
server that has made them. Each run gets a fork of it, its leader, which starts the run's processes as forks of its
own: whoever is started by the file ``python``, which stands for ``sys.executable``, asks the leader for one, hands
over its standard streams, and stays to pass signals on and to end as the fork does. The example itself is never
imported before the fork.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from trainci.host.processes import SignalPipe, become_subreaper, end_descendants, reap, send

_MODELS = ("qwen2", "qwen2_5_vl", "qwen3", "qwen3_moe", "glm4", "deepseek_v3")
IMPORTS = (
    "numpy", "pytest", "tokenizers.trainers", "trainci.testing",
    "torch.distributed.run", "torch.distributed.fsdp", "torch.distributed.checkpoint.state_dict",
    "transformers.modeling_utils", "transformers.models.auto.modeling_auto",
    *(f"transformers.models.{name}.modeling_{name}" for name in _MODELS),
    "megatron.core.distributed", "megatron.core.models.gpt.gpt_layer_specs", "megatron.core.optimizer",
    "megatron.core.dist_checkpointing.strategies.async_utils", "megatron.core.transformer.moe.router_replay",
    "megatron.core.transformer.multi_latent_attention",
)  # fmt: skip
_SOCKET = "MUTANTS_LEADER"
COLD = {_SOCKET: ""}
"""For the environment of a run: what it starts are processes of their own, children of whoever started them."""
_STREAMS = (0, 1, 2)
# Standard library only, and no site: it costs 15 ms.
_PYTHON = f"""#!{sys.executable} -SE
import array, json, os, signal, socket, sys
argv, leader = sys.argv[1:], os.environ.get("{_SOCKET}")
while argv[:1] == ["-u"]:
    del argv[0]
if not leader or not argv or (argv[0].startswith("-") and argv[0] != "-m"):
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(leader)
request = json.dumps([argv, os.getcwd(), dict(os.environ)]).encode("utf-8", "surrogateescape")
streams = array.array("i", [0, 1, 2])
link.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(one, lambda number, _: link.send(str(number).encode()))
code = int(link.recv(100) or b"-9")
if code < 0:
    if -code in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class Warm:
    """The server, for as long as the context lasts; ``environment`` is what its ``imports`` find besides."""

    def __init__(self, environment: Mapping[str, str], imports: Sequence[str] = IMPORTS):
        self._environment = {**os.environ, **environment}
        self._imports = imports

    def __enter__(self) -> Warm:
        self._directory = tempfile.TemporaryDirectory(prefix="warm-")
        self._address = f"{self._directory.name}/server"
        python = Path(self._directory.name, "python")
        python.write_text(_PYTHON, encoding="utf-8")
        python.chmod(0o755)
        command = [sys.executable, "-m", "benchmarks.mutants.warm", self._address, str(python), *self._imports]
        self._server = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE)
        assert self._server.stdout
        self._server.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.wait()
        self._directory.cleanup()

    def run(self, argv: list[str], cwd: Path, environment: dict[str, str], output: int, patience: float) -> int:
        """Run ``python`` with ``argv`` to its end and return its exit code, negative for a signal.

        Whatever it started is dead then.

        :raises TimeoutError: it was not done within ``patience`` seconds.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.connect(self._address)
            link.settimeout(patience if patience < 1e6 else None)
            streams = array.array("i", [output, output, output])
            _send(link, json.dumps([argv, str(cwd), environment]), streams)
            try:
                code = link.recv(100)
            except TimeoutError:
                link.shutdown(socket.SHUT_WR)
                link.settimeout(None)
                link.recv(100)
                raise
        return int(code or b"-9")


def _send(link: socket.socket, text: str, streams: array.array[int]) -> None:
    link.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])


def _receive(link: socket.socket) -> tuple[Any, list[int]]:
    data, ancillary, *_ = link.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i")
    for *_, rights in ancillary:
        streams.frombytes(rights)
    return json.loads(data), list(streams)


def _listen(address: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(address)
    server.listen(256)
    return server


def _serve(address: str, python: str, *imports: str) -> NoReturn:
    """The server: a leader for each run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in imports:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    sys.executable = python
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = _listen(address)
    print("ready", flush=True)
    for number in range(1 << 30):
        link, _ = server.accept()
        if os.fork() == 0:
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            _lead(link, f"{address}-{number}")
        link.close()
    sys.exit()


def _lead(run: socket.socket, address: str) -> NoReturn:
    """Start what the run's processes ask for, until it is over or nobody waits for it; then end all of them."""
    become_subreaper()
    server = _listen(address)
    pipe = SignalPipe([signal.SIGCHLD])
    links: dict[int, socket.socket] = {_start(run, address, (server, run)): run}
    code = -signal.SIGKILL

    def tell_end(child: int, status: int) -> None:
        nonlocal code
        asked, ended = links.pop(child, None), os.waitstatus_to_exitcode(status)
        if asked is run:
            code = ended
        elif asked:
            with contextlib.suppress(OSError):
                asked.send(str(ended).encode())

    while run in links.values():
        waited_for: list[Any] = [server, pipe.fd, *links.values()]
        ready, *_ = select.select(waited_for, [], [])
        pipe.take()
        for link in [link for link in links.values() if link in ready]:
            child = next(child for child, other in links.items() if other is link)
            said = link.recv(100)
            send(child, int(said or signal.SIGKILL))
            if not said:
                del links[child]
        if server in ready:
            link, _ = server.accept()
            links[_start(link, address, (server, run, *links.values()))] = link
        reap(tell_end)
    end_descendants(0, lambda *_: None)
    with contextlib.suppress(OSError):
        run.send(str(code).encode())
    os._exit(0)


def _start(link: socket.socket, address: str, others: tuple[socket.socket, ...]) -> int:
    (argv, cwd, environment), streams = _receive(link)
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        return child
    for other in {link, *others}:
        other.close()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for stream, number in zip(streams, _STREAMS, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update({_SOCKET: address, **environment})
    return _become(argv)


def _become(argv: list[str]) -> NoReturn:
    """What ``python`` does with ``argv``."""
    import numpy as np

    random.seed()
    np.random.seed()
    sys.dont_write_bytecode = True
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, own), *(path for path in sys.path[1:] if path not in own)]
    code = 0
    module = argv[0] == "-m"
    sys.path.insert(0, str(Path.cwd() if module else Path(argv[0]).resolve().parent))
    # A file there comes before a module of its name that the imports brought along.
    for place in (sys.path[0], Path.cwd()):
        for path in Path(place).iterdir():
            sys.modules.pop(path.stem, None)
    try:
        if module:
            sys.argv = argv[1:]
            sys.modules.pop(argv[1], None)  # else Python warns of it
            runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = argv
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if code and not isinstance(stop.code, int):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
