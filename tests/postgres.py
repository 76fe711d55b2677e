"""The PostgreSQL of the slow tests: Debian's, in a directory and behind a socket of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support import unavailable, wait_until

_USER = "postgres"


def require() -> Path:
    """The folder of its programs. Where there is none: fails in CI, skips elsewhere, saying why."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        unavailable("PostgreSQL is not installed (apt-get install postgresql)")
    if os.geteuid() != 0:
        unavailable("PostgreSQL is started from root only")
    return found[-1].parent


class Server:
    """A server with one empty database; ``url`` is how it is reached."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://{_USER}@/postgres?host={directory}"

    def create(self) -> None:
        """Make its files, which a server does not as root."""
        shutil.chown(self._directory, _USER)
        self._directory.chmod(0o755)
        words = ["initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", f"--pgdata={self._directory}/data"]
        subprocess.run(
            [self._programs / words[0], *words[1:]], user=_USER, check=True, capture_output=True, cwd="/"
        )

    def start(self) -> None:
        """Start it, until it answers."""
        words = [self._programs / "postgres", "-D", f"{self._directory}/data", "-k", str(self._directory)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*words, "-h", "", "-F"], user=_USER, stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        ready = [self._programs / "pg_isready", "-q", "-h", str(self._directory)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL to answer")

    def stop(self) -> None:
        """Stop it at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(3)
            self._process.wait(30)
            self._process = None

    def empty(self) -> None:
        """Forget every history."""
        psql = [self._programs / "psql", "-q", "-h", str(self._directory), "-U", _USER]
        subprocess.run([*psql, "-c", "DROP SCHEMA IF EXISTS trainci CASCADE"], check=True, capture_output=True)


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server for as long as the block runs."""
    programs = require()
    # Not below pytest's tmp_path: a socket's path may hold 107 bytes, and others may not look into it.
    directory = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
    one = Server(programs, directory)
    try:
        one.create()
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(directory, ignore_errors=True)
