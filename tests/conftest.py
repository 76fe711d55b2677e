"""A repository to try things in, for every test that needs a real one."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import postgres
import pytest
import ray_cluster
import slurm
from hypothesis import settings

from trainci.cli import main

# A busy host is slow, and no fault of an example.
settings.register_profile("busy", settings.default, deadline=None)
# `make check` tries fewer examples of a property than `make test`.
settings.register_profile("few", settings.get_profile("busy"), max_examples=10)
settings.load_profile("busy")
# The repositories below are input, not tests of this one.
collect_ignore = ["cases"]
# Variables of a job of GitHub, and of a test under trainci.
_OURS = ("GITHUB_", "TRAINCI_")
# As `git init` writes it, but that a commit starts no maintenance and waits for no disk.
_GIT_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tfsync = none
[maintenance]
\tauto = false
"""
# An active environment of whoever runs these tests.
_AROUND = ("VIRTUAL_ENV", "CONDA_PREFIX")


@pytest.fixture(scope="session", autouse=True)
def no_job_around_us() -> Iterator[None]:
    """These tests may themselves be a job and a test of trainci's: nothing that they start may know."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OURS):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_plugins_within() -> Iterator[None]:
    """A pytest that a test starts needs no plugin of those installed here; they take half of its start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def signals_are_heeded() -> None:
    """Under nohup SIGHUP is ignored, in a shell's background SIGINT; what the tests start would inherit that."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Said:
    """What a command line of trainci answered."""

    code: int
    out: str
    err: str


class Repository:
    """A directory, and what a user does in it. It is a git repository from ``init`` on."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str | bytes, text: str | bytes = "") -> Path:
        path = self.root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            env=_surroundings(self.root, {}),
            check=False,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout.strip()

    def init(self) -> None:
        """A repository on branch main; whatever is there already becomes its first commit, and origin/main."""
        self.write(".git/HEAD", "ref: refs/heads/main\n")
        self.write(".git/config", _GIT_CONFIG)
        for part in ("objects", "refs/remotes/origin", "hooks", "info"):
            (self.root / ".git" / part).mkdir(parents=True, exist_ok=True)
        self.commit("base")
        shutil.copyfile(self.root / ".git/refs/heads/main", self.root / ".git/refs/remotes/origin/main")

    def commit(self, message: str = "change") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def trainci(self, *arguments: str, directory: str = ".", environment: Mapping[str, str] | None = None) -> Said:
        """Run a command line in this process, from ``directory`` below the root, with ``environment`` added.

        The streams refuse what UTF-8 cannot hold, as a terminal's do.
        """
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        before = Path.cwd()
        os.chdir(self.root / directory)
        try:
            with mock.patch.dict(os.environ, _surroundings(self.root, environment or {}), clear=True):
                code = main(arguments, out, err)
        finally:
            os.chdir(before)
        return Said(code, *(_written(stream) for stream in (out, err)))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _surroundings(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """No setting of this machine's git, no job of GitHub around us, no GPU: the same answers everywhere."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", *_AROUND, *_OURS))},
        "CUDA_VISIBLE_DEVICES": "",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        # A temporary directory may lie inside somebody's repository.
        "GIT_CEILING_DIRECTORIES": str(root.parent),
        "GIT_AUTHOR_NAME": "Someone",
        "GIT_AUTHOR_EMAIL": "someone@example.org",
        "GIT_COMMITTER_NAME": "Someone",
        "GIT_COMMITTER_EMAIL": "someone@example.org",
        **environment,
    }


@pytest.fixture(scope="session")
def new_repository(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Repository]:
    """Makes an empty directory each time it is called, so that every example of a property has its own."""
    return lambda: Repository(tmp_path_factory.mktemp("repo"))


@pytest.fixture
def repository(new_repository: Callable[[], Repository]) -> Repository:
    return new_repository()


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[slurm.Cluster]:
    """A Slurm of four nodes, for all tests that leave it as it is."""
    slurm.require()
    with slurm.cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def ray_head() -> Iterator[ray_cluster.Cluster]:
    """A Ray of one node, for all tests that leave it running."""
    with ray_cluster.cluster() as cluster:
        yield cluster


@pytest.fixture
def ray_nodes(ray_head: ray_cluster.Cluster) -> ray_cluster.Cluster:
    """That Ray with a second node, which a test may kill."""
    ray_head.start_second()
    return ray_head


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL, for all tests that leave it running."""
    with postgres.server() as server:
        yield server
