"""An actor of Ray's on one of a test's nodes: it starts what is to run there, and ends with all of that.

Ray carries its code to the node; it imports only Python's own library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

_PIECE = 1 << 16
# A request holds an environment, which the kernel takes up to 2 MiB of (execve(2)).
_LONGEST_REQUEST = 1 << 23
_LOST = 3
# What Ray tells its own workers (ray/common/ray_internal_flag_def.h), and what another host's clock says.
_NOT_PASSED_ON = ("RAY_JOB_ID", "RAY_RAYLET_PID")
_NOT_OF_THIS_HOST = ("TRAINCI_DEADLINE",)
# What a lease of its own, without a device, would say otherwise.
_OF_THE_TEST = ("MASTER_PORT", "PET_MASTER_PORT")
_GIVEN_BY_RAY = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


class Member:
    """On the node with the number ``rank``. ``lease`` are the words that put a command under a lease.

    ``lease`` holds ``{status}`` where the descriptor goes that it reports on: once nobody reads there any more, as
    when this actor has died, it ends its command, and all that this has started.
    """

    def __init__(self, rank: int, lease: Sequence[str]) -> None:
        self._rank = rank
        self._lease = lease
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._reports: dict[str, int] = {}
        self._test: asyncio.subprocess.Process | None = None

    def ping(self) -> None:
        """Answers while this actor lives."""

    async def stay(self) -> None:
        """Does not end while this actor lives."""
        await asyncio.Event().wait()

    # The first node: the test itself.

    async def lead(
        self, words: Sequence[str], output: str, root: str, told: Mapping[str, str], members: Sequence[Any]
    ) -> int:
        """Run the test, whose nodes are ``members``; the exit code of its lease."""
        # It has no file that could be left, and the kernel says who asks.
        name = f"trainci-{secrets.token_hex(16)}"

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _relay(reader, writer, members)

        server = await asyncio.start_unix_server(relay, path=f"\0{name}", limit=_LONGEST_REQUEST)
        nodes = json.dumps({**told, "TRAINCI_NODES_BY": f"ray:{name}"})
        async with server:
            with open(output, "ab") as printed:  # noqa: PTH123
                self._test = await asyncio.create_subprocess_exec(
                    *words,
                    nodes,
                    str(os.getpid()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    cwd=root,
                    env=_own(),
                    start_new_session=True,
                )
            return await self._test.wait()

    # The other nodes: what the test starts there.

    async def start(self, command: Sequence[str], environment: Mapping[str, str], directory: str) -> str:
        """Start a command; the key by which the other functions know it."""
        kept = {name: value for name, value in environment.items() if name not in _NOT_OF_THIS_HOST}
        given = {name: os.environ[name] for name in _GIVEN_BY_RAY if name in os.environ}
        again = {**{name: kept[name] for name in _OF_THE_TEST if name in kept}, **given}
        if given.get("CUDA_VISIBLE_DEVICES"):
            again["TRAINCI_DEVICES"] = given["CUDA_VISIBLE_DEVICES"]
        elif "TRAINCI_DEVICES" in kept:
            again["TRAINCI_DEVICES"] = kept["TRAINCI_DEVICES"]
        ranks = {"TRAINCI_NODE_RANK": str(self._rank), "PET_NODE_RANK": str(self._rank)}
        reports, status = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(word.replace("{status}", str(status)) for word in self._lease),
                "env",
                *(f"{name}={value}" for name, value in again.items()),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=directory,
                env={**kept, **given, **ranks},
                pass_fds=(status,),
                start_new_session=True,
            )
        except OSError:
            os.close(reports)
            raise
        finally:
            os.close(status)
        key = secrets.token_hex(8)
        self._running[key] = process
        self._reports[key] = reports
        return key

    async def read(self, key: str) -> bytes:
        """The next that it printed; empty at the end."""
        output = self._running[key].stdout
        assert output is not None
        return await output.read(_PIECE)

    async def wait(self, key: str) -> int:
        """Its exit code, as a shell tells it."""
        code = await self._running[key].wait()
        with contextlib.suppress(KeyError):
            os.close(self._reports.pop(key))
        return code if code >= 0 else 128 - code

    def end(self, key: str) -> None:
        """Have it ended: politely, then for certain."""
        with contextlib.suppress(ProcessLookupError, KeyError):
            self._running[key].send_signal(signal.SIGTERM)

    async def end_all(self) -> None:
        """Have everything ended that runs here, and wait for it."""
        left = [process for process in (self._test, *self._running.values()) if process is not None]
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in left:
            await process.wait()


def _own() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, members: Sequence[Any]) -> None:
    """Run on another node what a process of the test's asks for (``trainci.probe.nodes``), until it hangs up."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", peer)[1] != os.geteuid():
        writer.close()
        return
    asked = json.loads(await reader.readline())
    member = members[asked["rank"]]
    code = _LOST
    try:
        key = await member.start.remote(asked["command"], asked["environment"], asked["directory"])
        hung_up = asyncio.ensure_future(reader.read())
        hung_up.add_done_callback(lambda _: member.end.remote(key))
        while data := await member.read.remote(key):
            # Nobody may read any more: it is read to the end all the same.
            with contextlib.suppress(ConnectionError):
                writer.write(b"%d\n" % len(data) + data)
                await writer.drain()
        code = await member.wait.remote(key)
    except Exception as error:  # whatever Ray says of a node that has died, its driver judges
        said = f"trainci: node {asked['rank']}: {type(error).__name__}\n".encode()
        writer.write(b"%d\n" % len(said) + said)
    with contextlib.suppress(ConnectionError):
        writer.write(b"exit %d\n" % code)
        await writer.drain()
    writer.close()
