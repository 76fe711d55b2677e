"""Promise 8: any user, any container, and no network file system."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from trainci.errors import UsageError
from trainci.lease.directory import open_directory, refuse_unshared

LINE = "36 35 98:0 {root} {point} rw,noatime master:1 - {kind} {source} rw"
ROOT = LINE.format(root="/", point="/", kind="overlay", source="overlay")


def mounts(kind="tmpfs", source="tmpfs", point="/dev/shm", root="/"):
    return f"{ROOT}\n{LINE.format(root=root, point=point, kind=kind, source=source)}\n"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_its_files_are_for_everybody_whatever_the_umask(host):
    before = os.umask(0o077)
    try:
        host.run("--count", "8", "--", "true")
    finally:
        os.umask(before)
    assert mode(host.path) == 0o1777
    assert mode(host.path / "devices") == 0o1777
    assert mode(host.path / "tickets") == mode(host.path / "leases") == mode(host.path / "queue") == 0o777
    files = [path for path in host.path.rglob("*") if not path.is_dir()]
    assert {mode(path) for path in files} == {0o666}


def test_a_directory_of_a_group_stays_the_groups(host):
    host.path.mkdir()
    host.path.chmod(0o2770)
    host.run("--count", "8", "--", "true")
    files = [path for path in host.path.rglob("*") if not path.is_dir()]
    assert {mode(path) for path in files} == {0o660}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become two other users")
def test_users_share_one_queue(host, tmp_path):
    def lease(user, *arguments):
        return subprocess.run(
            ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *host.command(*arguments)],
            env={**host.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=40,
        )

    readable = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", sys.executable, "-c", ""])
    if readable.returncode:
        pytest.skip("this Python cannot be run by other users")
    host.path = host.path.parent.parent / f"locks-{os.urandom(4).hex()}"
    for part in host.path.parents:
        if part != part.parent and not mode(part) & 0o001:
            host.path = type(host.path)(f"/tmp/trainci-test-{os.urandom(4).hex()}")
    for user in (65534, 1, 0, 65534):
        done = lease(user, "--count", "8", "--", "true")
        assert done.returncode == 0, done.stderr
    holder = host.holder("--count", "8")
    waiting = lease(1, "--count", "1", "--timeout", "0.2", "--", "true")
    assert waiting.returncode == 75, waiting.stderr
    holder.process.terminate()
    holder.wait()
    assert lease(65534, "--count", "8", "--", "true").returncode == 0


def test_a_directory_that_cannot_be_written_says_what_to_do(tmp_path):
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "locks").mkdir(mode=0o555)
    with pytest.raises(UsageError, match="chmod 1777"):
        open_directory(str(tmp_path / "locks"))


def test_a_directory_of_another_format_is_refused(host):
    host.run("--", "true")
    (host.path / "format").write_text("7\n")
    done = host.run("--", "true")
    assert done.returncode == 2
    assert "format '7'" in done.stderr


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "lustre", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused(kind):
    with pytest.raises(UsageError, match="network file system"):
        refuse_unshared("/dev/shm/trainci", True, mounts(kind), container=False)


def test_in_a_container_a_private_directory_is_refused_unless_it_is_meant():
    for private in (mounts(source="shm"), ROOT):
        with pytest.raises(UsageError, match="docker run -v"):
            refuse_unshared("/dev/shm/trainci", False, private, container=True)
        refuse_unshared("/dev/shm/trainci", True, private, container=True)
        refuse_unshared("/dev/shm/trainci", False, private, container=False)


def test_in_a_container_a_mounted_directory_is_accepted():
    shared = mounts(source="shm") + LINE.format(
        root="/trainci", point="/dev/shm/trainci", kind="tmpfs", source="tmpfs"
    )
    refuse_unshared("/dev/shm/trainci", False, shared, container=True)
