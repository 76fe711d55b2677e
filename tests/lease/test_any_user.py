"""Promise 8: any user, any container, and no network file system."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support import remove_tree, unavailable, wait_until

from trainci.errors import UsageError
from trainci.host import mounts as host_mounts
from trainci.lease.store.directory import open_directory
from trainci.lease.store.trust import refuse_unshared

pytestmark = pytest.mark.slow

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
    assert {mode(path) for path in host.path.iterdir() if path.is_dir()} == {0o1777}
    files = {path.relative_to(host.path).as_posix(): mode(path) for path in host.path.rglob("*")}
    assert files["queue/lock.1"] == 0o666 and files["devices/cpu-7.lock"] == 0o644


def test_a_directory_of_a_group_stays_the_groups(host):
    host.path.mkdir()
    host.path.chmod(0o2770)
    host.run("--count", "8", "--", "true")
    files = {path.relative_to(host.path).as_posix(): mode(path) for path in host.path.rglob("*")}
    assert files["queue/lock.1"] == 0o660 and files["devices/cpu-7.lock"] == 0o640


@pytest.fixture
def users(host):
    """Leases as other users, in a lock directory that all of them can reach."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become other users")
    folder = tempfile.mkdtemp(prefix="trainci-users-")
    os.chmod(folder, 0o1777)  # noqa: PTH101
    host.path = type(host.path)(folder) / "locks"

    def lease(user, *arguments, groups=""):
        become = ["setpriv", f"--reuid={user}", f"--regid={user}"]
        become.append(f"--groups={groups}" if groups else "--clear-groups")
        return subprocess.run(
            [*become, *host.command(*arguments)],
            env={**host.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=40,
        )

    probe = subprocess.run(["setpriv", "--reuid=1", "--regid=1", "--clear-groups", sys.executable, "-c", ""])
    if probe.returncode:
        pytest.skip("this Python cannot be run by other users")
    yield lease
    for job in host.jobs:
        job.dispose()
    host.jobs.clear()
    remove_tree(Path(folder))


def test_users_share_one_queue(host, users):
    for user in (0, 65534, 1, 0):
        done = users(user, "--count", "8", "--", "true")
        assert done.returncode == 0, done.stderr
    holder = host.holder("--count", "8")
    waiting = users(1, "--count", "1", "--timeout", "0.2", "--", "true")
    assert waiting.returncode == 75, waiting.stderr
    holder.process.terminate()
    holder.wait()
    assert users(65534, "--count", "8", "--", "true").returncode == 0


def test_who_comes_before_root_keeps_his_lease_once_root_comes_and_then_all_share(host, users):
    """`chmod 1777` of a directory is what is advised; its folders are made by who comes first."""
    host.path.mkdir()
    host.path.chmod(0o1777)
    assert users(1, "--count", "8", "--", "true").returncode == 0
    other = users(65534, "--count", "1", "--", "true")
    assert other.returncode == 3
    assert f"`sudo trainci host setup --lock-dir {host.path}` makes it everybody's" in other.stderr
    become = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups"]
    words = [*become, *host.command("--count", "8", "--", "sleep", "1000")]
    with subprocess.Popen(words, env={**host.environment, "PYTHONDONTWRITEBYTECODE": "1"}) as first:
        try:
            wait_until(lambda: list(host.path.glob("leases/*")), "it holds")
            # Root's is in the same queue, and nothing is lost of it.
            assert users(0, "--count", "1", "--timeout", "0.5", "--", "true").returncode == 75
            assert users(65534, "--count", "1", "--timeout", "0.5", "--", "true").returncode == 75
            assert not list(host.path.glob(".broken-*"))
        finally:
            first.terminate()
    assert users(65534, "--count", "8", "--", "true").returncode == 0


def test_users_of_a_group_share_one_queue_and_others_are_told(host, users):
    host.path.mkdir()
    os.chown(host.path, -1, 7777)
    host.path.chmod(0o2770)
    for user in (1001, 1002, 0, 1001):
        done = users(user, "--count", "8", "--", "true", groups="7777")
        assert done.returncode == 0, done.stderr
    assert {path.stat().st_gid for path in host.path.rglob("*")} == {7777}
    host.holder("--devices", "0")
    assert users(1002, "--devices", "0", "--timeout", "0.1", "--", "true", groups="7777").returncode == 75
    stranger = users(1003, "--", "true")
    assert stranger.returncode == 2
    assert "is for the group 7777, which this process of 1003 is not in" in stranger.stderr


def test_a_lease_of_one_user_is_ended_for_the_next_user_to_start(host, users):
    """The waiting user may neither signal nor look into the job; its own wrapper and supervisor do."""
    job = host.holder("--count", "8", "--time-limit", "1", "--grace", "0.3")
    assert users(1001, "--count", "8", "--", "true").returncode == 0
    assert job.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("other", ["1", "7"])
def test_a_directory_of_another_format_is_refused(host, other):
    """Two versions that read each other's files as nothing would give a device to two."""
    host.run("--", "true")
    (host.path / "format").write_text(f"{other}\n")
    done = host.run("--", "true")
    assert done.returncode == 2
    assert f"format '{other}'" in done.stderr


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "lustre", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused(kind):
    with pytest.raises(UsageError, match="network file system"):
        refuse_unshared("/dev/shm/trainci", True, mounts(kind), container=False)


def test_the_command_refuses_a_network_file_system(monkeypatch, tmp_path):
    real = host_mounts.read_text
    mounted = mounts("nfs4", point=tmp_path)
    monkeypatch.setattr(host_mounts, "read_text", lambda path: mounted if "mountinfo" in path else real(path))
    with pytest.raises(UsageError, match=r"is on a network file system \(nfs4\)"):
        open_directory(str(tmp_path / "locks"))
    assert not (tmp_path / "locks").exists()


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


def test_a_foreign_lock_file_that_may_not_be_opened_is_named(host, users):
    folder = host.path.parent
    (folder / "gpu_0").touch(mode=0o600)
    done = users(65534, "--lock-path-pattern", f"{folder}/gpu_{{gpu_id}}", "--devices", "0", "--", "true")
    assert done.returncode == 3
    assert f"the lock file {folder}/gpu_0 may not be opened by this user" in done.stderr


def test_a_directory_that_is_mounted_read_only_is_told_so(tmp_path):
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    look = f"from trainci.lease.store.trust import refuse_strangers; refuse_strangers({str(tmp_path)!r})"
    words = ["unshare", "--mount", "sh", "-c", f'{mount} || exit 77; exec "$0" -c "$1"', sys.executable, look]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        unavailable("there is no unshare here")
    if done.returncode == 77 or "unshare failed" in done.stderr:
        unavailable("nothing can be mounted here")
    assert f"the lock directory {tmp_path} is mounted read-only: have it" in done.stderr, done.stderr
    assert "chmod" not in done.stderr
