"""Another user of the host, with the lock directory in his hands: no device has two holders, no job of others ends,
nothing of root's is written, and whoever asks is answered in time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def shared(host):
    """A lock directory that root has laid out for every user, below a folder that all can reach."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    if subprocess.run([*as_nobody(), sys.executable, "-c", ""]).returncode:
        pytest.skip("this Python cannot be run by other users")
    folder = Path(tempfile.mkdtemp(prefix="trainci-attack-"))
    folder.chmod(0o1777)
    host.path = folder / "locks"
    host.run("--count", "0", "--", "true")
    yield host
    for job in reversed(host.jobs):
        job.dispose()
    host.jobs.clear()
    shutil.rmtree(folder)


def as_nobody():
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def attack(code, *arguments):
    """Run Python code as another user; what it prints."""
    preamble = "import fcntl, os, pathlib, shutil, socket, sys, time\n"
    command = [*as_nobody(), sys.executable, "-c", preamble + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, env={"PATH": "/bin"})
    return done.stdout


def try_all(host, code, *names):
    """Each of these operations on each of these files, as another user, whichever of them succeed."""
    attack(
        f"for name in sys.argv[2:]:\n"
        f"    path = pathlib.Path(sys.argv[1]) / name\n"
        f"    try:\n        {code}\n"
        f"    except OSError as error: print(name, error)",
        host.path,
        *names,
    )


def second_holder(host, *flags):
    """Is the device given to a second request?"""
    return host.run(*flags, "--timeout", "1.5", "--", "echo", "second")


@pytest.mark.parametrize(
    "gone",
    [
        ("devices/cpu-0.lock",),
        ("leases",),
        ("devices", "leases"),
        ("devices", "leases", "queue", "tickets", "health", "inventory", "nested", "format"),
        (".",),
    ],
)
def test_files_that_are_removed_never_give_a_device_to_two(shared, gone):
    """By the owner, or by systemd-logind's RemoveIPC when his last session ends."""
    holder = shared.holder("--devices", "0")
    for name in gone:
        path = shared.path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = second_holder(shared, "--devices", "0")
    assert done.returncode == 75, done.stdout
    assert second_holder(shared, "--devices", "1").stdout == "second\n"
    holder.process.terminate()
    holder.wait()
    assert second_holder(shared, "--devices", "0").stdout == "second\n"


def test_a_lock_file_that_is_truncated_never_gives_a_device_to_two(shared):
    shared.holder("--devices", "0")
    os.truncate(shared.path / "devices" / "cpu-0.lock", 0)
    assert second_holder(shared, "--devices", "0").returncode == 75


def test_a_gpu_that_a_lease_of_another_lock_directory_holds_is_not_given_out(shared):
    """A queue of one's own beside other holders is no way around them."""
    lease = (
        "import sys\nfrom trainci.lease import command\nfrom trainci.model import Device\n"
        "command.gpus = lambda directory, total: (Device(0, 'GPU-5eca0001-attack'),)\n"
        "command._known_to_nvml = lambda devices: False\nsys.exit(command.main(sys.argv[1:]))"
    )
    base = [sys.executable, "-c", lease, "--lock-dir"]
    with subprocess.Popen(
        [*base, shared.path, "--count", "1", "--", "sh", "-c", "echo up; sleep 60"],
        stdout=subprocess.PIPE,
        text=True,
        env=shared.environment,
    ) as first:
        assert first.stdout.readline() == "up\n"
        other = [*base, shared.path.parent / "other", "--count", "1", "--timeout", "1.5", "--", "true"]
        assert subprocess.run(other, env=shared.environment).returncode == 75
        first.terminate()


@pytest.mark.parametrize("name", ["queue/lock.1", "queue/watcher.fifo", "devices/cpu-0.lock", "health/cpu-0"])
def test_nothing_is_written_or_copied_through_a_link_of_another_user(shared, name):
    secret = shared.path.parent / "secret"
    secret.write_text('{"reason": "SECRET", "since": 1, "released": false}')
    secret.chmod(0o600)
    before = secret.read_bytes()
    # What sticky folders keep him from, somebody may have done for him.
    path = shared.path / name
    path.unlink(missing_ok=True)
    attack("os.symlink(sys.argv[1], sys.argv[2])", secret, path)
    assert path.is_symlink()
    assert shared.run("--devices", "0", "--", "true").returncode == 0
    waiting = shared.holder("--devices", "0")
    assert second_holder(shared, "--devices", "0").returncode == 75
    waiting.process.terminate()
    subprocess.run(
        [sys.executable, "-m", "trainci", "gpus", "--release", "cpu-0"],
        env={**shared.environment, "TRAINCI_LOCK_DIR": str(shared.path)},
        capture_output=True,
    )
    assert secret.read_bytes() == before and secret.stat().st_mode & 0o777 == 0o600
    for file in shared.path.rglob("*"):
        assert not (file.is_file() and not file.is_symlink() and b"SECRET" in file.read_bytes()), file


def test_a_directory_of_a_stranger_is_refused(shared):
    path = shared.path.parent / "his"
    attack("os.umask(0); os.mkdir(sys.argv[1], 0o1777)", path)
    shared.path, ours = path, shared.path
    done = shared.run("--", "true")
    assert done.returncode == 2
    assert "belongs to user" in done.stderr and "let root make it" in done.stderr
    assert list(path.iterdir()) == []
    link = path.parent / "link"
    attack("os.symlink(sys.argv[1], sys.argv[2])", ours, link)
    shared.path = link
    assert shared.run("--", "true").returncode == 2


def test_files_of_root_cannot_be_replaced(shared):
    shared.holder("--devices", "0")
    shared.waiter("--devices", "0")
    before = {path: path.lstat().st_ino for path in shared.path.rglob("*") if path.parent.name != "queue"}
    names = [path.relative_to(shared.path) for path in before]
    try_all(shared, "shutil.rmtree(path) if path.is_dir() else path.unlink()", *names)
    try_all(shared, "path.rename(path.parent / 'moved')", *names)
    assert {path: path.lstat().st_ino for path in before} == before


def test_a_record_that_another_user_replaced_ends_no_job(shared, is_alive):
    holder = shared.holder("--devices", "0")
    (record,) = (shared.path / "leases").iterdir()
    text = record.read_text()
    # As in a directory that is not sticky: an unlocked copy, of his.
    (shared.path / "leases").chmod(0o777)
    attack("path = pathlib.Path(sys.argv[1]); path.unlink(); path.write_text(sys.argv[2])", record, text)
    assert record.stat().st_uid == NOBODY
    assert second_holder(shared, "--devices", "0").returncode == 75
    assert is_alive(holder.event("started")["pid"]) and holder.process.poll() is None


def test_a_record_of_the_dead_that_is_not_ours_to_remove_keeps_no_device(shared):
    record = '{"id": "abcdef", "devices": ["cpu-0"], "name": "x", "uid": 0, "pid": 1, "since": 1, "until": null, '
    path = shared.path / "leases" / "abcdef"
    path.write_text(record + '"cgroup": ""}')
    command = [*as_nobody(), *shared.command("--devices", "0", "--timeout", "20", "--", "echo", "mine")]
    done = subprocess.run(
        command, env={**shared.environment, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True
    )
    assert done.stdout == "mine\n", done.stderr
    assert path.exists()
