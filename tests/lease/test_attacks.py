"""Another user of the host, with the lock directory in his hands: no device has two holders, no job of others ends,
nothing of root's is written, and whoever asks is answered in time."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from pathlib import Path

import pytest
from support import remove_tree, wait_until

from trainci.lease.queue.cycle import read_reservations
from trainci.lease.store import ports, settings
from trainci.lease.store.directory import open_directory
from trainci.lease.store.records import Request
from trainci.lease.view import status
from trainci.model.device import Device

pytestmark = pytest.mark.slow


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
    remove_tree(folder)


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


def second_holder(host, *flags, timeout=1.5):
    """Is the device given to a second request?"""
    return host.run(*flags, "--timeout", str(timeout), "--", "echo", "second")


def lease_of_a_gpu():
    """A lease on a host of one GPU, which no other run of these tests has: a claim is the whole host's."""
    return (
        "import sys\nfrom trainci.lease import command\nfrom trainci.lease.store import inventory\n"
        "from trainci.model.device import Device\n"
        f"inventory.gpus = lambda directory, total: (Device(0, 'GPU-{uuid.uuid4()}'),)\n"
        "command._known_to_nvml = lambda devices: False\nsys.exit(command.main(sys.argv[1:]))"
    )


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
        remove_tree(path) if path.is_dir() else path.unlink()
    done = second_holder(shared, "--devices", "0")
    assert done.returncode == 75, done.stdout
    assert second_holder(shared, "--devices", "1", timeout=30).stdout == "second\n"
    holder.process.terminate()
    holder.wait()
    assert second_holder(shared, "--devices", "0", timeout=30).stdout == "second\n"


def test_a_lock_file_that_is_truncated_never_gives_a_device_to_two(shared):
    shared.holder("--devices", "0")
    os.truncate(shared.path / "devices" / "cpu-0.lock", 0)
    assert second_holder(shared, "--devices", "0").returncode == 75


def test_a_gpu_that_a_lease_of_another_lock_directory_holds_is_not_given_out(shared):
    """A queue of one's own beside other holders is no way around them."""
    base = [sys.executable, "-c", lease_of_a_gpu(), "--lock-dir"]
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


@pytest.mark.parametrize(
    "name",
    [
        "queue/lock.1",
        "devices/cpu-0.lock",
        "queue/watcher.fifo",
        "health/cpu-0",
        "drained/cpu-0",
        "ledger",
    ],
)
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
    for action in ("--release", "--drain", "--undrain"):
        subprocess.run(
            [sys.executable, "-m", "trainci", "gpus", action, "cpu-0"],
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


def bounded(host, *flags, limit=40):
    """A request that must be answered in time, with a sentence or the device."""
    begun = time.monotonic()
    done = host.run("--devices", "0", "--timeout", "5", *flags, "--", "echo", "got it")
    assert time.monotonic() - begun < limit
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 2, 3, 75)
    if done.returncode:
        assert done.stderr.splitlines()[-1].startswith("trainci lease: ")
    return done


def as_third(host, timeout=30):
    """A request of a user who can remove nothing of another's."""
    third = ["setpriv", "--reuid=1", "--regid=1", "--clear-groups"]
    command = [*third, *host.command("--devices", "0", "--timeout", str(timeout), "--", "echo", "got it")]
    return subprocess.run(command, env=host.environment, capture_output=True, text=True, timeout=60)


@contextlib.contextmanager
def stranger(code, *arguments):
    """Python code of another user that runs until it is ended; it prints a line once it is ready."""
    command = [*as_nobody(), sys.executable, "-c", f"import fcntl, glob, os, socket, sys, time\n{code}"]
    with subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


BIND_ALL = """
held = []
for base in range(20000, 32000, 100):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        one.bind(f"\\0trainci-ports-{base}")
        held.append(one)
    except OSError:
        pass
print("bound", flush=True)
time.sleep(60)
"""


def test_names_of_ports_that_a_stranger_binds_stop_no_lease(shared):
    with stranger(BIND_ALL):
        jobs = [shared.holder("--devices", number) for number in "123"]
        assert bounded(shared).stdout == "got it\n"
        assert len({job.event("granted")["port_base"] for job in jobs}) == 3


BIND = """
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
while True:
    try:
        one.bind(sys.argv[1].replace("@", "\\0"))
        break
    except OSError:  # its last holder is about to end
        time.sleep(0.01)
print("bound", flush=True)
time.sleep(60)
"""


def test_the_name_of_a_device_that_a_stranger_binds_is_waited_for_in_bounds(shared):
    job = shared.holder("--devices", "0")
    ours = f"{zlib.crc32(str(shared.path).encode()):08x}-cpu-0"
    (name,) = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if ours in line}
    job.process.terminate()
    job.wait()
    with stranger(BIND, name):
        assert bounded(shared, "--timeout", "1").returncode == 75
    assert bounded(shared).returncode == 0


RUBBISH = {
    "link to /dev/zero": "os.symlink('/dev/zero', path)",
    "pipe": "os.mkfifo(path)",
    "folder": "os.mkdir(path)",
    "garbage": "path.write_bytes(b'\\xff\\0{[' * 99)",
    "nested JSON": "path.write_text('[' * 100000)",
    "wrong JSON": 'path.write_text(\'{"devices": 1, "reason": [], "since": "x", "id": {}}\')',
    "huge": "os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 33)",
    "socket": "socket.socket(socket.AF_UNIX).bind(str(path))",
    "unreadable": "os.close(os.open(path, os.O_CREAT, 0))",
}
PLACES = [
    "health/cpu-0",
    "tickets/000000001-abc",
    "tickets/999999999-abc",
    "tickets/000000001-abc.fifo",
    "leases/abc",
    "queue/reservations",
    "queue/foreign",
    "queue/lock.7",
    "queue/watcher.fifo",
    "queue/watcher.lock",
    "inventory/abc",
    "nested/abc",
    "ports/20000",
]


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_in_the_lock_directory_is_passed_over(shared, kind):
    """By root, and by a third user, who can remove nothing of it."""
    for name in ("queue/reservations", "queue/foreign", "queue/watcher.fifo", "queue/watcher.lock"):
        (shared.path / name).unlink(missing_ok=True)
    try_all(shared, RUBBISH[kind], *PLACES)
    assert os.path.lexists(shared.path / "leases" / "abc")
    done = as_third(shared)
    assert done.stdout == "got it\n", done.stderr
    assert bounded(shared).stdout == "got it\n"
    holder = shared.holder("--devices", "0")
    waiter = shared.waiter("--devices", "0")
    holder.process.terminate()
    assert waiter.end()[0] == 0


def test_blocks_of_ports_in_whose_places_is_rubbish_are_passed_over(shared):
    """By a third user, who can remove nothing of it: any but the last block is taken by what another put there."""
    for number in range(ports.BLOCKS - 1):
        folder = shared.path / "ports" / str(ports.FIRST + ports.BLOCK * number)
        folder.unlink(missing_ok=True)
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    done = as_third(shared)
    assert done.stdout == "got it\n", done.stderr


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish_in_the_place_of_a_devices_lock_is_named_or_set_aside(shared, kind):
    try_all(shared, RUBBISH[kind], "devices/cpu-0.lock")
    done = as_third(shared, timeout=2)
    assert done.stdout == "got it\n" or "devices/cpu-0.lock" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert bounded(shared).stdout == "got it\n", "root can set it aside"


SIGN = """
print("up", flush=True)
while True:
    for path in glob.glob(sys.argv[1] + "/queue/lock.*"):
        try:
            one = os.open(path, os.O_RDWR)
            fcntl.flock(one, fcntl.LOCK_EX)
            until = time.time() + 30
            while time.time() < until and os.path.exists(path):
                os.pwrite(one, os.urandom(8), 0)
                time.sleep(0.05)
            os.close(one)
        except OSError:
            pass
"""


def test_a_mutex_that_is_signed_again_and_again_keeps_nobody_from_leaving(shared):
    with stranger(SIGN, shared.path):
        bounded(shared, "--timeout", "1")
        job = shared.start("--devices", "0", "--", "sleep", "100")
        job.process.terminate()
        job.process.wait(60)


FORGE = """
os.umask(0)
path = sys.argv[1] + "/tickets/000000000-forged"
os.mkfifo(path + ".fifo", 0o666)
file = open(path, "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(sys.argv[2])
file.flush()
print("made", flush=True)
time.sleep(60)
"""


def test_a_ticket_that_lies_about_its_user_its_time_and_its_urgency_is_not_believed(shared):
    settings.write(open_directory(str(shared.path)), settings.Settings("daemon"))
    holder = shared.holder("--devices", "0")
    lies = {"name": "forged", "uid": 0, "since": 1.0, "priority": "high"}
    forged = Request("forged", 1, (Device(0, "cpu-0"),), 60.0, **lies)
    with stranger(FORGE, shared.path, forged.dump()):
        urgent = shared.waiter("--devices", "0", "--priority", "high")
        told = [(one.name, one.user, one.priority) for one in status(str(shared.path)).waiting]
        assert told[1:] == [("forged", "nobody", "normal")]
        holder.process.terminate()
        assert urgent.wait() == 0


def test_a_ticket_that_lies_about_its_number_passes_nobody(shared):
    holder = shared.holder("--devices", "0")
    waiter = shared.waiter("--devices", "0", command=("sleep", "1000"))
    forged = Request("forged", 1, (Device(0, "cpu-0"),), 60.0, name="forged", since=1.0)
    with stranger(FORGE, shared.path, forged.dump()):
        assert [one.request for one in status(str(shared.path)).waiting][1:] == ["forged"]
        holder.process.terminate()
        waiter.event("started")
        assert not read_reservations(open_directory(str(shared.path)))["forged"].stalled, "it was never its turn"


URGENT = """
import sys
from trainci.lease import command
from trainci.lease.store import settings
settings.refuse_urgency = lambda directory: None
sys.exit(command.internal_main(sys.argv[1:]))
"""


def test_who_may_not_be_urgent_is_not_though_his_own_process_lets_him(shared):
    settings.write(open_directory(str(shared.path)), settings.Settings("daemon"))
    holder = shared.holder("--devices", "0")
    waiter = shared.waiter("--devices", "0", command=("sleep", "1000"))
    words = ["--lock-dir", str(shared.path), "--virtual", "8", "--devices", "0", "--priority", "high"]
    command = [*as_nobody(), sys.executable, "-c", URGENT, *words, "--", "true"]
    with subprocess.Popen(command, env=shared.environment) as urgent:
        try:
            wait_until(lambda: len(status(str(shared.path)).waiting) == 2, "it waits")
            assert [one.priority for one in status(str(shared.path)).waiting] == ["normal", "normal"]
            holder.process.terminate()
            waiter.event("started")
            waiter.process.terminate()
            assert urgent.wait(40) == 0
        finally:
            urgent.terminate()


@pytest.mark.parametrize(
    "name", ["queue", "devices", "leases", "tickets", "health", "inventory", "nested", "ports"]
)
def test_a_folder_that_is_removed_or_replaced_heals(shared, name):
    shutil.rmtree(shared.path / name)
    assert bounded(shared).returncode == 0
    shutil.rmtree(shared.path / name)
    # As when it was his before somebody made the directory root's: the folder is not sticky.
    shared.path.chmod(0o777)
    attack("os.umask(0); os.mkdir(sys.argv[1], 0o777)", shared.path / name)
    shared.path.chmod(0o1777)
    assert bounded(shared).returncode == 0
    assert (shared.path / name).stat().st_uid == 0
    holder = shared.holder("--devices", "0")
    waiter = shared.waiter("--devices", "0")
    remove_tree(shared.path / name)
    holder.process.terminate()
    assert waiter.end()[0] == 0
    assert (shared.path / name).stat().st_uid == 0


@pytest.fixture
def small(shared):
    """The lock directory on a file system of its own, and what fills that up."""
    shutil.rmtree(shared.path)
    shared.path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=200", "tmpfs", shared.path]).returncode:
        pytest.skip("nothing can be mounted here")
    shared.path.chmod(0o1777)
    shared.run("--count", "0", "--", "true")

    def fill():
        with contextlib.suppress(OSError), (shared.path / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
        with contextlib.suppress(OSError):
            for number in range(1000):
                (shared.path / f"filler{number}").touch()

    yield fill
    for job in shared.jobs:
        job.dispose()
    shared.jobs.clear()
    subprocess.run(["umount", "--lazy", shared.path])


def test_giving_back_needs_no_space_and_what_the_command_said_stands(shared, small, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    holder = shared.holder("--count", "8", command=("sh", "-c", f"read line < {go}; echo success; exit 0"))
    waiter = shared.waiter("--count", "1", command=("echo", "next"))
    small()
    before = {path.relative_to(shared.path).as_posix() for path in shared.path.rglob("*")}
    go.write_text("go\n")
    code, out, err = holder.end()
    assert (code, out) == (0, "success\n"), err
    assert holder.event("ended")["lost"] == ""
    # The next was told, and cannot write down that it has the device: it says so, and takes nothing half.
    code, out, err = waiter.end()
    assert (code, out) == (0, "next\n") or (code == 3 and "is full" in err.splitlines()[-1]), err
    assert not list((shared.path / "leases").iterdir())
    left = {path.relative_to(shared.path).as_posix() for path in shared.path.rglob("*")} - before
    # Whoever waits makes the watcher's lock, which stays; it may not have been there yet. And the mutex goes on to
    # its next file where its owner gets no CPU.
    kept = ("ports/", "queue/lock.", "queue/watcher.lock")
    assert not [path for path in left if not path.startswith(kept)], "temporary files"


def test_a_request_on_a_full_disk_says_so_and_takes_nothing(shared, small):
    small()
    done = shared.run("--devices", "0", "--", "true")
    assert done.returncode == 3
    assert "the file system of the lock directory is full" in done.stderr and done.stderr.count("\n") == 1
    before = sorted(map(str, shared.path.rglob("*")))
    assert shared.run("--devices", "0", "--", "true").returncode == 3
    assert sorted(map(str, shared.path.rglob("*"))) == before
    for path in shared.path.glob("filler*"):
        path.unlink()
    assert shared.run("--devices", "0", "--timeout", "5", "--", "true").returncode == 0


# Anything at all that a user may do to files, at random, from a seed, until he is ended.
VANDAL = """
import json, random
folder, dice = sys.argv[1], random.Random(int(sys.argv[2]))
folders = "queue devices leases tickets health inventory nested ports".split()
held = []

def existing():
    found = [path for name in folders for path in glob.glob(os.path.join(folder, name, "*"))]
    return dice.choice([*found, folder])

def made_up():
    names = "lock.1 lock.2 lock.99 reservations foreign watcher.lock watcher.fifo cpu-0 cpu-1.lock abc 20000 "
    names += "000000001-abc 999999999-abc 000000001-abc.fifo .lease-abc"
    return os.path.join(folder, dice.choice(folders), dice.choice(names.split()))

def text():
    record = {"id": "abc", "devices": ["cpu-0", "cpu-1"], "name": "x", "uid": 0, "pid": 1, "since": 1}
    record.update(until=None, cgroup="")
    ticket = {"id": "abc", "count": 1, "pattern": "", "name": "x", "uid": 0, "pid": 1, "since": 1, "bound": None}
    ticket["devices"] = [{"index": 0, "uuid": "cpu-0", "numa": -1, "group": -1}]
    return json.dumps(dice.choice([record, ticket, {}, [], {"reason": "x", "since": 1}]))

def write():
    with open(made_up(), "w") as file:
        file.write(text())

def lock():
    held.append(os.open(dice.choice([existing, made_up])(), os.O_RDONLY | os.O_NONBLOCK))
    fcntl.flock(held[-1], fcntl.LOCK_NB | dice.choice([fcntl.LOCK_EX, fcntl.LOCK_SH]))
    while len(held) > 3:
        os.close(held.pop(0))

DEEDS = [
    write,
    lock,
    lambda: os.unlink(existing()),
    lambda: os.rename(existing(), made_up()),
    lambda: os.rename(made_up(), existing()),
    lambda: os.truncate(existing(), 0),
    lambda: os.symlink(sys.argv[3], made_up()),
    lambda: os.link(existing(), made_up()),
    lambda: os.mkfifo(made_up()),
    lambda: os.mkdir(made_up()),
    lambda: os.chmod(existing(), dice.choice([0, 0o777])),
    lambda: os.write(os.open(existing(), os.O_WRONLY | os.O_NONBLOCK), b"!" * 9),
]
print("ready", flush=True)
while True:
    try:
        dice.choice(DEEDS)()
    except OSError:
        pass
    time.sleep(0.005)
"""
# Fails where somebody else is in with one of its devices.
ALONE = """
import os, sys, time
mine = [os.path.join(sys.argv[1], device) for device in os.environ["TRAINCI_DEVICES"].split(",")]
for path in mine:
    os.mkdir(path)
time.sleep(0.1)
for path in mine:
    os.rmdir(path)
print("alone")
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_another_user_does_to_the_files_no_device_has_two_holders(shared, tmp_path, seed):
    secret = shared.path.parent / "secret"
    secret.write_text("SECRET")
    secret.chmod(0o600)
    shared.devices = 2
    with stranger(VANDAL, shared.path, seed, secret):
        jobs = []
        for number in range(12):
            limits = ("--count", str(1 + number % 2), "--timeout", "20", "--time-limit", "60")
            jobs.append(shared.start(*limits, "--", sys.executable, "-S", "-c", ALONE, str(tmp_path)))
        ended = [job.process.communicate(timeout=90) for job in jobs]
    codes = [job.process.returncode for job in jobs]
    for code, (out, err) in zip(codes, ended, strict=True):
        assert (code == 0 and out == "alone\n") or (code in (3, 75) and err.startswith("trainci lease: ")), err
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    assert secret.read_text() == "SECRET" and secret.stat().st_mode & 0o777 == 0o600
    # Once he is gone, so is what he did.
    done = shared.run("--count", "2", "--timeout", "20", "--", "echo", "got them")
    assert done.stdout == "got them\n", done.stderr


def test_a_gpu_of_a_job_in_another_network_is_not_given_out_when_all_files_are_lost(shared):
    """As of a container: its claim is not seen here, but its processes are."""
    base = [sys.executable, "-c", lease_of_a_gpu(), "--lock-dir", shared.path, "--count", "1"]
    if subprocess.run(["unshare", "--net", "true"]).returncode:
        pytest.skip("no other network can be made here")
    inside = ["unshare", "--net", *base, "--", "sh", "-c", "echo up; sleep 60"]
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True, env=shared.environment) as first:
        assert first.stdout.readline() == "up\n"
        shutil.rmtree(shared.path)
        other = subprocess.run([*base, "--timeout", "1.5", "--", "true"], env=shared.environment)
        first.terminate()
    assert other.returncode == 75
    assert subprocess.run([*base, "--timeout", "30", "--", "true"], env=shared.environment).returncode == 0


def test_a_mutex_that_is_signed_again_and_again_is_taken_away(shared):
    with stranger(SIGN, shared.path):
        assert bounded(shared, "--timeout", "30", limit=60).stdout == "got it\n"
