"""Starts lease processes from one process that has imported everything that they need, at the start of a run.

So neither a file of the repository nor a test's environment is seen by an interpreter of ours, a test that is
started an hour later runs the code that the run began with, whatever was upgraded meanwhile, and no test waits for
Python's start. The process (``serve``) forks a child for each job, waits for it and passes signals on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from trainci.errors import EXIT_MACHINE
from trainci.executors.inherited import inherited
from trainci.executors.isolated import isolated
from trainci.host.processes import reap

_SERVE = "from trainci.executors.launcher import serve; serve(int(sys.argv[1]))"
_TERMINATE = b"T"


class Launched:
    """A lease process that was started."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def terminate(self) -> None:
        """Order it to end its job; nothing happens once it has ended."""
        try:
            self._control.send(_TERMINATE)
        except OSError:
            return

    def wait(self) -> int | None:
        """Wait for its end; its exit code (negative: the signal that ended it), None if the launcher was killed."""
        said = self._control.recv(64)
        self._control.close()
        return int(said) if said else None


class Launcher:
    """Starts lease processes until it is closed; those that run then are not ended by that."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*isolated(_SERVE), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=inherited(os.environ),
                pass_fds=(theirs.fileno(),),
                # Its own session, so that a ^C at the terminal reaches only the runner, which then ends the tests.
                start_new_session=True,
            )

    def start(
        self, arguments: list[str], cwd: Path, variables: Mapping[str, str], output: int, status: int
    ) -> Launched:
        """Start ``trainci.lease`` with ``arguments``, whose job gets ``variables`` too.

        It writes to the descriptors ``output`` and ``status``, which the caller closes then.

        :raises OSError: the launcher was killed.
        """
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "variables": dict(variables)}).encode()
        reading, writing = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                socket.send_fds(self._socket, [b"job"], [reading, output, status, theirs.fileno()])
            os.close(reading)
            reading = -1
            _write_all(writing, request)
        except OSError:
            ours.close()
            raise
        finally:
            os.close(writing)
            if reading >= 0:
                os.close(reading)
        return Launched(ours)

    def close(self) -> None:
        """Let it end."""
        self._socket.close()
        self._process.wait()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def serve(descriptor: int) -> NoReturn:
    """Fork a lease process for each request on the socket ``descriptor``, until its other end is closed."""
    import_all()
    server = _Server(socket.socket(fileno=descriptor))
    while server.step():
        continue
    os._exit(0)


def import_all() -> None:
    """What a lease imports only once it needs it may be gone, or another version, by then."""
    import binascii  # noqa: F401
    import pwd  # noqa: F401
    import shutil  # noqa: F401

    import trainci.lease.command
    import trainci.lease.queue.gate
    import trainci.lease.store.inventory
    import trainci.lease.store.ledger
    import trainci.lease.store.settings

    if importlib.util.find_spec("pynvml") is not None:
        import trainci.host.devices.nvidia  # noqa: F401

    gc.freeze()


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._jobs: dict[int, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._woken, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def step(self) -> bool:
        """Wait for something to do and do it; False once the other end is closed."""
        for key, _ in self._selector.select():
            if key.fileobj is self._requests:
                if not self._accept():
                    return False
            elif key.fileobj == self._woken:
                os.read(self._woken, 4096)
            else:
                self._obey(key.data)
        reap(self._tell_end)
        return True

    def _accept(self) -> bool:
        asked, descriptors, _, _ = socket.recv_fds(self._requests, 64, 4)
        if not asked:
            return False
        request, output, status, control = descriptors
        pid = os.fork()
        if pid == 0:
            become(lambda: self._lease(request, output, status, control))
        for descriptor in (request, output, status):
            os.close(descriptor)
        self._jobs[pid] = socket.socket(fileno=control)
        self._selector.register(self._jobs[pid], selectors.EVENT_READ, pid)
        return True

    def _lease(self, request: int, output: int, status: int, control: int) -> int:
        from trainci.lease import protocol
        from trainci.lease.command import internal_main

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._requests.close()
        for other in self._jobs.values():
            other.close()
        os.close(control)
        print_to(output)
        with os.fdopen(request, "rb") as pipe:
            asked = json.loads(pipe.read())
        os.chdir(asked["cwd"])
        return internal_main([protocol.STATUS_FD, str(status), *asked["arguments"]], asked["variables"])

    def _obey(self, pid: int) -> None:
        """Pass an order on. The number is still this child's: it is collected by us alone, and below."""
        control = self._jobs[pid]
        if control.recv(64):
            # Its job may have stopped it.
            for number in (signal.SIGTERM, signal.SIGCONT):
                os.kill(pid, number)
        else:
            self._selector.unregister(control)

    def _tell_end(self, pid: int, status: int) -> None:
        control = self._jobs.pop(pid)
        if control.fileno() in self._selector.get_map():
            self._selector.unregister(control)
        with contextlib.suppress(OSError):  # the runner is gone
            control.send(str(os.waitstatus_to_exitcode(status)).encode())
        control.close()


def become(lease: Callable[[], int]) -> NoReturn:
    """Be a lease process, in a child that was forked: in a session of its own, and whatever comes, for good."""
    code = EXIT_MACHINE
    try:
        os.setsid()
        code = lease()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def print_to(descriptor: int) -> None:
    """All that this process prints goes there from now on; ``descriptor`` itself is closed."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
