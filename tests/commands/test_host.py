"""`trainci host`: the places of a real host, in a mount namespace of their own, and what is wrong with a host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trainci.commands.host.checks import State, beside, check_host
from trainci.lease.store import settings
from trainci.lease.store.directory import FORMAT, open_directory

pytestmark = pytest.mark.slow

TRAINCI = str(Path(sys.executable).with_name("trainci"))
ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root may mount")
# A place of its own for each that `host setup` writes to.
MOUNTS = "mkdir -p /etc/tmpfiles.d; for at in /run /dev/shm /etc/tmpfiles.d; do mount -t tmpfs none $at; done; "


# As another user, who may find this Python wherever it is (in root's home, perhaps), and may write no more for it.
ALONE = "--clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
LIMITS = beside("/run/trainci")[0]


def on_a_host(script: str) -> subprocess.CompletedProcess[str]:
    script = f"alias trainci={TRAINCI}\n{MOUNTS}{script}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRAINCI_")}
    return subprocess.run(["unshare", "--mount", "sh", "-ec", script], capture_output=True, text=True, env=kept)


@ROOT_ONLY
def test_setup_makes_one_directory_that_every_place_leads_to_and_says_what_it_did():
    done = on_a_host(
        "trainci host setup --group daemon; stat -c '%A %U %G' /run/trainci; readlink /dev/shm/trainci;"
        "cat /etc/tmpfiles.d/trainci.conf; trainci lease --virtual 1 -- sh -c 'echo $TRAINCI_LOCK_DIR';"
        "TRAINCI_LOCK_DIR=/dev/shm/trainci trainci lease --virtual 1 -- true"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "the lock directory is /run/trainci",
        "/dev/shm/trainci leads there, for containers and older versions",
        "group daemon may use it (it is root's, mode 3770)",
        "there is no GPU",
        "--priority high is for everybody",
        "/etc/tmpfiles.d/trainci.conf makes it again after each boot",
        *done.stdout.splitlines()[6:8],
        "`trainci host check` says what is still to be done.",
        "drwxrws--T root daemon",
        "/run/trainci",
        "# Written by `trainci host setup`.",
        "d /run/trainci 3770 root daemon",
        'f /run/trainci/settings 640 root daemon - {"high_priority_group": ""}',
        "L /dev/shm/trainci - - - - /run/trainci",
        "/run/trainci",
    ]
    assert [line.split()[:2] for line in done.stdout.splitlines()[6:8]] == [
        [LIMITS.state.value, "limits"],
        ["ok", "RemoveIPC"],
    ]


@ROOT_ONLY
def test_where_leases_run_in_the_old_place_setup_prepares_that_one():
    """A second directory would be a second queue, and two holders of one GPU."""
    done = on_a_host(
        "trainci lease --virtual 1 -- true; trainci host setup; ls -d /run/trainci || echo none;"
        "stat -c %F /dev/shm/trainci; cat /etc/tmpfiles.d/trainci.conf"
    )
    assert "the lock directory is /dev/shm/trainci\n" in done.stdout
    assert done.stdout.endswith(
        "none\ndirectory\n# Written by `trainci host setup`.\nd /dev/shm/trainci 1777 root root\n"
        'f /dev/shm/trainci/settings 644 root root - {"high_priority_group": ""}\n'
    )


@ROOT_ONLY
def test_setup_again_for_others_shares_what_was_there():
    done = on_a_host(
        "trainci host setup --group daemon >/dev/null; trainci lease --virtual 1 -- true;"
        "trainci gpus --virtual --drain 0 >/dev/null; find /run/trainci -perm /4 | wc -l;"
        "trainci host setup --group '' >/dev/null;"
        "find /run/trainci -type f ! -perm /4; find /run/trainci -type d ! -perm /2"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0"], "closed to others, then open"


@ROOT_ONLY
def test_setup_again_opens_a_host_to_nobody_new():
    """It is what `host check` names as the mend of many a fault."""
    again = "trainci host setup | grep -e 'may use' -e urgent -e priority; stat -c '%a %G' /run/trainci;"
    done = on_a_host(
        f"trainci host setup --group daemon --high-priority-group adm >/dev/null; {again} cat /run/trainci/settings"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "group daemon may use it, as before (it is root's, mode 3770)",
        "--priority high is for group adm",
        "3770 daemon",
        '{"high_priority_group": "adm"}',
    ]


@ROOT_ONLY
@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd-tmpfiles is not installed")
@pytest.mark.parametrize("place", ["", "'/run/some % \"queue\"'"])
def test_what_was_set_is_there_after_a_boot(place):
    at = place or "/run/trainci"
    as_daemon = f"setpriv --reuid=65534 --regid=1 {ALONE} {TRAINCI} lease --lock-dir {at} --virtual 1"
    looks = f"stat -c '%a %U %G' {at} {at}/settings"
    done = on_a_host(
        f"trainci host setup --group daemon --high-priority-group adm {place and '--lock-dir ' + place} >/dev/null;"
        f"before=$({looks}); rm -rf {at} /dev/shm/trainci;"
        "systemd-tmpfiles --create /etc/tmpfiles.d/trainci.conf;"
        f'[ "$before" = "$({looks})" ]; cat {at}/settings; echo;'
        f"{as_daemon} -- true; {as_daemon} --priority high -- true || echo refused $?"
    )
    assert done.stdout.splitlines() == ['{"high_priority_group": "adm"}', "refused 2"], done


@ROOT_ONLY
def test_who_is_not_in_the_group_is_told_which_it_is_and_how_one_joins_it():
    as_nobody = f"setpriv --reuid=65534 --regid=65534 {ALONE} {TRAINCI}"
    done = on_a_host(
        "trainci host setup --group daemon >/dev/null;"
        f"{as_nobody} lease --virtual 1 -- true || echo $?; {as_nobody} host check || true"
    )
    assert done.stderr == (
        "trainci lease: the lock directory /run/trainci is for the group daemon, which this process of nobody is "
        "not in: `sudo usermod -aG daemon nobody` and a new login, or another --lock-dir.\n"
    )
    assert "       mend: sudo usermod -aG daemon nobody, and a new login\n" in done.stdout


@ROOT_ONLY
def test_a_directory_elsewhere_is_made_and_users_are_told_to_name_it():
    done = on_a_host("trainci host setup --lock-dir /run/a/b; stat -c %a /run/a /run/a/b")
    assert done.returncode == 0, done.stderr
    assert "TRAINCI_LOCK_DIR=/run/a/b says so: set that for all users\n" in done.stdout
    assert done.stdout.endswith("755\n1777\n")


@ROOT_ONLY
@pytest.mark.parametrize("place", ["/proc/none", "/etc/passwd", "/etc/passwd/below"])
def test_a_directory_that_cannot_be_made_is_a_sentence(place):
    done = on_a_host(f"trainci host setup --lock-dir {place}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"trainci: the lock directory {place} cannot be made: ")
    assert "--lock-dir" in done.stderr


@ROOT_ONLY
@pytest.mark.parametrize(
    ("files", "stays"),
    [
        ({}, False),
        ({"/etc/systemd/logind.conf": "[Login]\n# RemoveIPC=no\n#RemoveIPC=no\n"}, False),
        ({"/etc/systemd/logind.conf": "[Login]\nRemoveIPC = No\n"}, True),
        ({"/etc/systemd/logind.conf.d/a.conf": "RemoveIPC=off"}, True),
        ({"/usr/lib/systemd/logind.conf.d/a.conf": "RemoveIPC=no"}, True),
        (
            {
                "/usr/lib/systemd/logind.conf.d/a.conf": "RemoveIPC=no",
                "/etc/systemd/logind.conf.d/a.conf": "RemoveIPC=yes",
            },
            False,
        ),
    ],
)
def test_remove_ipc_is_read_as_systemd_does(files, stays):
    write = "".join(
        f"mkdir -p {Path(path).parent}; printf '{text}' > {path};".replace("\n", "\\n")
        for path, text in files.items()
    )
    done = on_a_host(
        "mkdir -p /run/systemd/system; mount -t tmpfs none /etc/systemd; mount -t tmpfs none /usr/lib/systemd;"
        f"{write} trainci host check --lock-dir /dev/shm/locks | grep RemoveIPC"
    )
    assert done.stdout.startswith("ok" if stays else "note"), done


@ROOT_ONLY
def test_setup_follows_no_link_that_a_stranger_put_into_the_directory():
    done = on_a_host(
        "trainci host setup >/dev/null; mkdir -m 700 /run/secret; touch /run/secret/key; chmod 600 /run/secret/key;"
        "ln -s /run/secret /run/trainci/more; trainci host setup >/dev/null;"
        "stat -c '%a' /run/secret /run/secret/key"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["700", "600"]


@ROOT_ONLY
def test_setup_gives_nobody_a_folder_that_a_link_leads_to():
    """Whoever owns the old directory could put a link to /etc in its place while root looks at it."""
    done = on_a_host(
        "mkdir -m 700 /run/etc; ln -s /run/etc /run/lock; trainci host setup --lock-dir /run/lock && echo done;"
        "stat -c %a /run/etc; ls /run/etc"
    )
    assert done.stdout.splitlines() == ["700"] and "Traceback" not in done.stderr, done


@ROOT_ONLY
def test_setup_does_not_say_that_a_strangers_link_leads_to_its_directory():
    done = on_a_host("ln -s /run/elsewhere /dev/shm/trainci; trainci host setup; cat /etc/tmpfiles.d/trainci.conf")
    assert done.returncode == 0, done.stderr
    assert "leads there" not in done.stdout and "L /dev/shm" not in done.stdout


@ROOT_ONLY
def test_a_user_without_a_name_gets_a_table():
    """As in a container that is started with `--user 12345`."""
    fake = "mkdir /run/bin; printf '#!/bin/sh\\nexit 1\\n' > /run/bin/docker; chmod +x /run/bin/docker;"
    done = on_a_host(
        f"{fake} PATH=/run/bin:$PATH setpriv --reuid=12345 --regid=12345 {ALONE} {TRAINCI} host check; true"
    )
    assert "usermod -aG docker 12345" in done.stdout and "Traceback" not in done.stderr, done


@ROOT_ONLY
def test_the_lock_of_each_device_is_made_beforehand(tmp_path, monkeypatch):
    from trainci.lease import prepare as prepare_host
    from trainci.lease.prepare import Wish, prepare
    from trainci.model.device import Device

    monkeypatch.setattr(prepare_host, "_TMPFILES", tmp_path / "tmpfiles.conf")
    path = tmp_path / "locks"
    _, said = prepare(Wish(str(path)), (Device(0, "GPU-a"), Device(1, "GPU-b")))
    assert "2 GPUs found, the lock of each is there" in said
    assert sorted(lock.name for lock in (path / "devices").iterdir()) == ["GPU-a.lock", "GPU-b.lock"]


_AS_NOBODY = """
import os, sys
from trainci.lease.store.directory import open_directory
from trainci.lease.store.settings import refuse_urgency
directory = open_directory(sys.argv[1])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
refuse_urgency(directory)
"""


@ROOT_ONLY
@pytest.mark.parametrize(
    ("group", "may"), [("daemon", False), ("no-such-group", False), ("nogroup", True), ("", True)]
)
def test_who_may_be_urgent_is_a_group(tmp_path, group, may):
    path = tmp_path / "locks"
    settings.write(open_directory(str(path)), settings.Settings(group))
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run([sys.executable, "-c", _AS_NOBODY, str(path)], capture_output=True, text=True)
    assert (done.returncode == 0) == may, done.stderr
    assert (f"--priority high is for members of the group {group} here, and nobody is none." in done.stderr) != may


def test_settings_that_a_stranger_wrote_count_for_nothing(tmp_path):
    directory = open_directory(str(tmp_path / "locks"))
    for text in ("", "{", "[]", '{"high_priority_group": 3}'):
        (tmp_path / "locks/settings").write_text(text)
        assert settings.read_settings(directory) == settings.Settings()


@pytest.mark.skipif(os.getuid() == 0, reason="root may")
def test_only_root_prepares_a_host(repository):
    assert "only root prepares a host: sudo trainci host setup" in repository.trainci("host", "setup").err


def test_a_group_that_does_not_exist_is_a_sentence(repository):
    if os.getuid() == 0:
        said = repository.trainci("host", "setup", "--group", "no-such-group")
        assert (said.code, said.err) == (
            2,
            "trainci: there is no group 'no-such-group' on this host: `groupadd no-such-group` makes it.\n",
        )


def found(path: Path | str) -> dict[str, tuple[State, str]]:
    return {one.what: (one.state, one.said) for one in check_host(str(path))}


def test_check_says_what_is_right_and_what_is_wrong_with_the_lock_directory(tmp_path):
    assert found(tmp_path / "none")["lock directory"][0] is State.NOTE
    open_directory(str(tmp_path / "mine"))
    (tmp_path / "mine").chmod(0o1777)
    assert found(tmp_path / "mine")["lock directory"][0] is State.RIGHT
    (tmp_path / "mine/format").write_text(f"{FORMAT + 1}\n")
    state, said = found(tmp_path / "mine")["lock directory"]
    assert state is State.WRONG
    assert f"is of format {FORMAT + 1}, and trainci" in said


def test_every_line_that_is_not_right_has_its_mend(tmp_path):
    (tmp_path / "format").write_text(f"{FORMAT + 1}\n")
    faults = [one for one in check_host(str(tmp_path)) if one.state is State.WRONG]
    assert faults and all(one.mend for one in faults)


def test_check_is_a_table_and_exits_with_1_where_something_is_wrong(repository, tmp_path):
    open_directory(str(tmp_path / "locks"))
    (tmp_path / "locks/format").write_text("1\n")
    said = repository.trainci("host", "check", "--lock-dir", str(tmp_path / "locks"))
    assert said.code == 1
    line = next(line for line in said.out.splitlines() if "lock directory" in line)
    assert line.startswith("WRONG")
    assert "       mend: use one version everywhere; remove" in said.out


@ROOT_ONLY
def test_two_queues_for_one_host_are_found():
    again = "rm /dev/shm/trainci; mkdir /dev/shm/trainci; trainci host check; true"
    done = on_a_host(f"trainci host setup >/dev/null; {again}")
    assert "two directories, so two queues share the GPUs" in done.stdout
