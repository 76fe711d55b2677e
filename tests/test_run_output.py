"""Runs whose output overwhelms its reader, or whose files cannot be written: real processes, real terminals."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from junitparser import JUnitXml
from support import wait_until

from trainci.console.excerpt import PAINTED

pytestmark = pytest.mark.slow

TRAINCI = str(Path(sys.executable).with_name("trainci"))
DEADLINE = 120.0
TALKS = """
line = b"step 12345 loss 0.123456 lr 0.0001 tokens/s 12345.6\\n" * 1000
open("talking", "w").close()
while True:
    os.write(1, line)
"""
PASSES = 'print("hello")\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    (root / "tests").mkdir(parents=True)
    (root / "trainci.toml").write_text(
        '[project]\n[suites.short]\ntests = ["tests/test_a.py"]\nsecrets = ["HF_TOKEN"]\n'
    )
    return root


def start(root: Path, program: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    body = textwrap.indent(program, "    ")
    (root / "tests/test_a.py").write_text(
        f"import os, sys\nNUM_GPUS = 0\ndef execute():\n{body}\nif __name__ == '__main__':\n    execute()\n"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "TRAINCI_"))}
    environment = {
        **kept,
        "TRAINCI_LOCK_DIR": str(root.parent / "locks"),
        "TERM": "xterm",
        "HF_TOKEN": "hf_secret-1",
    }
    return subprocess.Popen(
        [TRAINCI, "run", "tests/test_a.py", "--junit", "junit.xml", *arguments],
        cwd=root,
        env=environment,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


def run(root: Path, program: str, *arguments: str) -> tuple[int, str]:
    process = start(root, program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = process.communicate(timeout=DEADLINE)
    return process.returncode, said.decode()


def log_of(root: Path) -> Path:
    (log,) = (root / ".trainci/runs").glob("*/*.log")
    return log


def junit(root: Path) -> JUnitXml:
    return JUnitXml.fromfile(str(root / "junit.xml"))


@pytest.mark.parametrize("reader", ["a pipe", "a terminal"])
def test_an_interrupt_is_heeded_and_reported_while_nobody_reads(root, reader):
    reading, writing = os.pipe() if reader == "a pipe" else pty.openpty()
    process = start(root, TALKS, stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    wait_until((root / "talking").exists, "the test talks")
    time.sleep(1)  # for every buffer to fill; it is right without, too
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 130
    took = time.monotonic() - began
    os.close(reading)
    assert junit(root).errors == 1
    assert took < 30, "a machine under load; alone it takes 2 s"
    (log,) = (root / ".trainci/runs").glob("*/*.log")
    assert log.stat().st_size > 0


def test_a_terminal_is_not_painted_what_nobody_could_read(root):
    """The last lines and the verdict are there, and the whole of it is in the log."""
    master, terminal = pty.openpty()
    program = PASSES + 'for i in range(300000): print("line", i)\nraise SystemExit(3)\n'
    process = start(root, program, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # EIO: nobody holds the terminal any more
        pass
    os.close(master)
    assert process.wait(DEADLINE) == 1
    assert len(shown) < 300_000 < log_of(root).stat().st_size
    assert b"line 299999" in shown
    assert b"exit code 3" in shown
    assert log_of(root).read_bytes().count(b"\n") == 300001


def test_a_pipe_gets_every_line(root):
    code, said = run(root, PASSES + 'for i in range(200000): print("line", i)\n')
    assert code == 0
    assert said.count("tests/test_a.py | line ") == 200000


def test_verbose_gives_a_pipe_all_of_a_long_output(root):
    code, said = run(root, 'sys.stdout.write(("line " + "x" * 94 + "\\n") * 250_000)\n', "--verbose")
    assert code == 0
    assert said.count("tests/test_a.py | line ") == 250_000


def test_no_secret_is_in_an_excerpt_where_its_beginning_ends_in_one(root):
    program = (
        "line = b'x' * 63 + b'\\n'\n"
        "secret = os.environ['HF_TOKEN'].encode()\n"
        f"begin = {PAINTED}\n"
        "text = b'x' * (begin - 40) + (secret + b' ') * 8 + b'\\n' + line * 20000 + secret\n"
        "sys.stdout.buffer.write(text)\n"
    )
    code, said = run(root, program)
    assert code == 0
    assert "the rest is in .trainci/runs/" in said and "***" in said
    assert "hf_secret" not in said and "secret-1" not in said


def test_no_secret_is_in_any_file_or_stream(root):
    program = PASSES + (
        "import os, base64, sys\n"
        "secret = os.environ['HF_TOKEN']\n"
        "print(secret[:4], end='', flush=True)\nprint(secret[4:])\n"
        "print(base64.b64encode(secret.encode()).decode())\n"
        "sys.exit(secret)\n"
    )
    code, said = run(root, program)
    assert code == 1
    assert "***" in said
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 5
    for text in (said.encode(), *(path.read_bytes() for path in files)):
        assert b"hf_secret-1" not in text
        assert b"aGZfc2VjcmV0LT" not in text


def lock_for_ever(root: Path) -> subprocess.Popen[bytes]:
    program = (
        "import sqlite3, sys, time\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\ntime.sleep(1000)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, root / ".trainci/history.db"], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    return holder


def outcomes(root: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(root / ".trainci/history.db") as db:
        return db.execute("SELECT test_id, outcome FROM verdicts ORDER BY at").fetchall()


def test_a_history_that_another_holds_for_ever_costs_no_test_and_no_report(root):
    """And what could not be entered is entered by the next run."""
    assert run(root, PASSES)[0] == 0
    holder = lock_for_ever(root)
    code, said = run(root, PASSES)
    holder.kill()
    holder.wait()
    assert code == 0, said
    assert said.count("the history is held, or away (database is locked); a later run enters this one") == 1
    assert junit(root).tests == 1
    assert outcomes(root) == [("tests/test_a.py", "passed")]
    assert run(root, PASSES)[0] == 0
    assert outcomes(root) == [("tests/test_a.py", "passed")] * 3


@pytest.mark.parametrize("damage", ["zeroed pages", "nonsense"])
def test_a_broken_history_is_set_aside_with_one_line_and_a_new_one_begins(root, damage):
    assert run(root, PASSES)[0] == 0
    history = root / ".trainci/history.db"
    size = history.stat().st_size
    with history.open("r+b") as file:
        if damage == "nonsense":
            file.write(b"not a database, and long enough to be taken for one" * 40)
        else:
            file.seek(4096)
            file.write(b"\0" * (size - 4096))
    for suffix in ("-wal", "-shm"):
        Path(f"{history}{suffix}").unlink(missing_ok=True)
    code, said = run(root, PASSES)
    assert code == 0, said
    assert said.count("and a new history begins") == 1, said
    assert "Traceback" not in said
    assert [path.name for path in history.parent.glob("history.db.broken-*")]
    assert ("tests/test_a.py", "passed") in outcomes(root)


def test_a_repository_that_cannot_be_written_keeps_its_logs_elsewhere_and_says_where(root):
    (root / ".trainci").mkdir()
    (root / ".trainci/.gitignore").mkdir()
    (root / ".trainci/runs").mkdir()
    subprocess.run(["mount", "--bind", "-o", "ro", root / ".trainci", root / ".trainci"], check=False)
    if os.access(root / ".trainci", os.W_OK):
        pytest.skip("nothing can be mounted read-only here")
    try:
        code, said = run(root, PASSES)
    finally:
        subprocess.run(["umount", root / ".trainci"], check=True)
    assert code == 0, said
    (line,) = (line for line in said.splitlines() if ".trainci cannot be written" in line)
    place = Path(line.rpartition(" in ")[2])
    assert [log.read_text() for log in place.glob("*.log")] == ["hello\n"]


@pytest.mark.parametrize("what", ["a link", "a file", "a link in it"])
def test_what_somebody_committed_in_place_of_the_state_directory_is_refused(root, tmp_path, what):
    (tmp_path / "elsewhere").mkdir()
    if what == "a link":
        (root / ".trainci").symlink_to(tmp_path / "elsewhere")
    elif what == "a file":
        (root / ".trainci").write_text("")
    else:
        (root / ".trainci").mkdir()
        (root / ".trainci/runs").symlink_to(tmp_path / "elsewhere")
    code, said = run(root, PASSES)
    assert code == 2
    assert len(said.splitlines()) == 1 and "Move it away." in said
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_log_directory_that_goes_during_the_run_costs_no_verdict(root):
    program = PASSES + "import shutil, sys\nshutil.rmtree('.trainci')\nsys.exit(3)\n"
    code, said = run(root, program)
    assert code == 1, said
    assert "Traceback" not in said
    assert junit(root).failures == 1


def test_a_pipe_that_a_test_puts_in_the_place_of_its_log_keeps_no_run_from_its_end(root):
    code, said = run(
        root,
        "import pathlib\n"
        "for log in pathlib.Path(os.environ['TRAINCI_METRICS_FILE']).parent.glob('*.log'):\n"
        "    log.unlink()\n"
        "    os.mkfifo(log)\n"
        "sys.exit(1)\n",
    )
    assert code == 1 and "1 failed in" in said, said
