"""The PostgreSQL of the slow tests: Debian's, in a directory and behind a socket of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from support import unavailable, wait_until

_USER = "postgres"
# Of a socket in a directory of its own.
_POOLER_PORT = 6432
_POOLER = """\
[databases]
* = host={server} user={user}
[pgbouncer]
pool_mode = transaction
default_pool_size = 2
auth_type = any
listen_port = 6432
unix_socket_dir = {directory}
"""


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
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://{_USER}@/postgres?host={directory}"

    def create(self) -> None:
        """Make its files, which a server does not as root."""
        shutil.chown(self.directory, _USER)
        self.directory.chmod(0o755)
        words = ["initdb", "--auth=trust", "--encoding=UTF8", "--no-sync", f"--pgdata={self.directory}/data"]
        subprocess.run(
            [self._programs / words[0], *words[1:]], user=_USER, check=True, capture_output=True, cwd="/"
        )

    def start(self, *options: str) -> None:
        """Start it, until it answers; without ``options`` it listens on its socket alone."""
        words = [self._programs / "postgres", "-D", f"{self.directory}/data", "-k", str(self.directory)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*words, "-h", "", "-F", *options],
                user=_USER,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        port = options[options.index("-p") + 1] if "-p" in options else "5432"
        ready = [self._programs / "pg_isready", "-q", "-h", str(self.directory), "-p", port]
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL to answer")

    def stop(self) -> None:
        """Stop it at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(3)
            self._process.wait(30)
            self._process = None

    def start_with_certificate(self, port: int) -> None:
        """Start it on localhost, too, where it shows a certificate for that name; ``ca.pem`` is who signed it.

        ``other.pem`` has signed nothing.
        """
        folder = self.directory / "tls"
        folder.mkdir()
        for name in ("ca", "other"):
            words = ["-x509", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
            subprocess.run(["openssl", "req", "-new", *words], cwd=folder, check=True, capture_output=True)
        words = ["-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]
        subprocess.run(["openssl", "req", "-new", *words], cwd=folder, check=True, capture_output=True)
        words = ["-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
        subprocess.run(
            ["openssl", "x509", *words, "-out", "server.pem"], cwd=folder, check=True, capture_output=True
        )
        for file in (folder, folder / "server.key", folder / "server.pem"):
            shutil.chown(file, _USER)
        files = ("-c", f"ssl_cert_file={folder}/server.pem", "-c", f"ssl_key_file={folder}/server.key")
        self.start("-h", "localhost", "-p", str(port), "-c", "ssl=on", *files)

    def empty(self) -> None:
        """Forget every history."""
        psql = [self._programs / "psql", "-q", "-h", str(self.directory), "-U", _USER]
        subprocess.run([*psql, "-c", "DROP SCHEMA IF EXISTS trainci CASCADE"], check=True, capture_output=True)


@contextlib.contextmanager
def pooler(server: Server) -> Iterator[str]:
    """The URL of a PgBouncer before the server, for as long as the block runs.

    It gives a connection away with each transaction: settings of a session's and prepared statements are lost.
    """
    program = shutil.which("pgbouncer")
    if program is None:
        unavailable("PgBouncer is not installed (apt-get install pgbouncer)")
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
    shutil.chown(directory, _USER)
    (directory / "pgbouncer.ini").write_text(
        _POOLER.format(directory=directory, server=server.directory, user=_USER)
    )
    with (directory / "log").open("wb") as log:
        words = [str(program), str(directory / "pgbouncer.ini")]
        process = subprocess.Popen(words, user=_USER, stdout=log, stderr=log, cwd="/", start_new_session=True)
    try:
        socket = directory / f".s.PGSQL.{_POOLER_PORT}"
        wait_until(lambda: socket.exists() or process.poll() is not None, "PgBouncer to listen")
        assert process.poll() is None, (directory / "log").read_text()
        yield f"postgresql://{_USER}@/postgres?host={directory}&port={_POOLER_PORT}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


class Network:
    """Between clients and the server, by ``url``; while it is ``stalled`` it passes nothing on.

    ``turns`` counts how often a server's answer was followed by a client's words.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._flows = threading.Event()
        self._flows.set()
        self.turns = 0
        self._last: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://{_USER}@127.0.0.1:{self._listener.getsockname()[1]}/postgres"
        threading.Thread(target=self._serve, daemon=True).start()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """For as long as the block runs."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._server.directory}/.s.PGSQL.5432")
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._flows.wait()
                self.turns += source.family == socket.AF_INET and self._last is not source
                self._last = source
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


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
