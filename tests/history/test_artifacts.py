"""What runs leave, sent to a directory or an object store: all of it, nothing else, and nothing waits for it."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import unavailable, wait_until

from trainci.errors import UsageError
from trainci.history import artifacts
from trainci.history.places import SENT, Place, PlaceAway, fetched
from trainci.paths import RunPaths, StatePaths
from trainci.testing.ray_ports import free_ports

TEST = "NUM_GPUS = 1\nif __name__ == '__main__':\n    {body}\n"
SECRET = "hf_secret-1234"


def write(repository, place, **bodies):
    said = (
        f'[project]\nartifacts = "{place}"\nsecrets = ["HF_TOKEN"]\n[suites.short]\ntests = ["tests/test_*.py"]\n'
    )
    repository.write("trainci.toml", said)
    for name, body in bodies.items():
        repository.write(f"tests/test_{name}.py", TEST.format(body=body))


def run(repository, **environment):
    locks = {"TRAINCI_LOCK_DIR": str(repository.root / "locks"), "HF_TOKEN": SECRET}
    return repository.trainci("run", "short", "--devices", "cpu:2", environment={**locks, **environment})


def runs(repository):
    return sorted((repository.root / ".trainci/runs").iterdir())


def sent(place):
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


LEAVES = """import os, pathlib
    from trainci.testing import record_metric
    print('token', os.environ['HF_TOKEN'])
    folder = pathlib.Path(os.environ['TRAINCI_METRICS_FILE']).parent
    (folder / '900-link-1.log').symlink_to('/etc/hostname')
    (folder / 'other.bin').write_text('x')
    (folder / '901-folder-1.log').mkdir()
    record_metric('loss', 1.5)"""


def test_a_run_sends_its_logs_events_and_reports_masked_and_nothing_else(repository, tmp_path):
    write(repository, tmp_path / "place", good=LEAVES)
    assert run(repository).code == 0
    (folder,) = runs(repository)
    log = "001-tests-test_good.py-1"
    names = ("events.jsonl", f"{log}.log", f"{log}.metrics.jsonl", "report.html", "report.xml")
    there = sent(tmp_path / "place")
    assert set(there) == {f"{folder.name}/{name}" for name in names}
    assert there[f"{folder.name}/{log}.log"] == (folder / f"{log}.log").read_bytes() == b"token ***\n"
    assert there[f"{folder.name}/events.jsonl"] == (folder / "events.jsonl").read_bytes()
    assert b"run ended" in there[f"{folder.name}/events.jsonl"].splitlines()[-1].replace(b"_", b" ")
    assert not any(SECRET.encode() in content for content in there.values())
    assert not (folder / artifacts.UNSENT).exists()


def test_what_an_attempt_left_is_sent_when_it_has_ended_and_not_with_the_run(repository, tmp_path):
    place = tmp_path / "place"
    there = f"list(pathlib.Path({str(place)!r}).rglob('*a.py-1.log'))"
    waits = f"import pathlib, time\n    while not {there}: time.sleep(0.05)"
    write(repository, place, a="print('first')", b=waits)
    said = run(repository)
    assert said.code == 0, said.out


def test_a_place_that_is_away_changes_no_run_and_a_later_one_sends_both(repository, tmp_path):
    place = tmp_path / "place"
    place.write_text("a file where the folder should go")
    write(repository, place, good="print()")
    said = run(repository)
    assert said.code == 0
    assert f"artifacts: {place}: " in said.out + said.err
    assert "This run is sent by a later one" in said.out + said.err
    assert (runs(repository)[0] / artifacts.UNSENT).exists()
    place.unlink()
    again = run(repository)
    assert again.code == 0 and "artifacts:" not in again.out + again.err
    for folder in runs(repository):
        assert f"{folder.name}/report.html" in sent(place)
        assert not (folder / artifacts.UNSENT).exists()


def test_a_place_that_never_answers_is_waited_for_a_moment_at_the_end_and_no_longer(repository, monkeypatch):
    """A server that takes a connection and says nothing."""
    monkeypatch.setattr(artifacts, "_PATIENCE_S", 0.2)
    begun = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        write(repository, f"ftp://127.0.0.1:{server.getsockname()[1]}/runs", good="print()")
        said = run(repository)
    assert said.code == 0
    assert time.monotonic() - begun < 20, "the server itself is given up after 30 s"
    assert "no answer within 0.2 s. This run is sent by a later one" in said.out + said.err


def test_what_a_run_that_was_cut_off_recorded_is_not_sent_unmasked(repository, tmp_path):
    write(repository, tmp_path / "place", good="print()")
    run(repository)
    (folder,) = runs(repository)
    events = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    (folder / "events.jsonl").write_text("".join(events[:-1]))
    (folder / "001-tests-test_good.py-1.metrics.jsonl").write_text(SECRET)
    (folder / artifacts.UNSENT).touch()
    run(repository)
    there = sent(tmp_path / "place")
    assert len(there[f"{folder.name}/events.jsonl"].splitlines()) == len(events) - 1, "it was sent again"
    assert not any(SECRET.encode() in content for content in there.values())


def test_a_run_is_read_back_from_where_it_was_sent(repository, tmp_path):
    write(repository, tmp_path / "place", good="print('trained')", bad="raise SystemExit(5)")
    assert run(repository).code == 1
    (folder,) = (tmp_path / "place").iterdir()
    (folder / "plan.json").write_text("not ours")
    page = repository.root / "page.html"
    said = repository.trainci("report", f"file://{folder}", "-o", str(page))
    assert said.code == 0, said.err
    assert "tests/test_bad.py" in page.read_text() and "exit code 5" in page.read_text()
    said = repository.trainci("summary", f"file://{folder}")
    assert said.code == 0 and "1 failed" in said.out, said.out
    said = repository.trainci("report", f"file://{tmp_path}/nowhere")
    assert (said.code, "no run lies there" in said.err) == (2, True)
    with fetched(f"file://{folder}") as copy:
        assert all(SENT.fullmatch(path.name) for path in copy.iterdir())


def test_any_file_system_of_fsspec_takes_what_is_sent(tmp_path):
    place = Place("memory://bucket/prefix")
    place.send("RUN/events.jsonl", io.BytesIO(b"{}\n"))
    place.send("RUN/../001-a-1.log", io.BytesIO(b"elsewhere"))
    with fetched("memory://bucket/prefix/RUN") as folder:
        assert sent(folder) == {"events.jsonl": b"{}\n"}


@pytest.mark.parametrize(
    ("url", "sentence"),
    [("nope://x/y", "Protocol not known: nope"), ("gs://x/y", "install gcsfs")],
)
def test_a_place_that_nothing_here_can_write_to_is_told_before_a_test_is_started(repository, url, sentence):
    write(repository, url, good="print()")
    said = run(repository)
    if "gcsfs" in sentence and importlib.util.find_spec("gcsfs"):
        pytest.skip("gcsfs is here")
    assert (said.code, sentence in said.err) == (2, True), said.err
    assert runs(repository) == [] if (repository.root / ".trainci/runs").exists() else True


def test_without_fsspec_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"pip install 'trainci\[artifacts\]'"):
        Place("s3://bucket/prefix")


@pytest.mark.parametrize("url", ["ftp://me:word@host/x", "s3://key@bucket", "runs", "zip://a::s3://b/c", "a b://c"])
def test_a_place_is_a_url_without_a_user_or_an_absolute_path(repository, url):
    write(repository, url, good="print()")
    said = repository.trainci("check")
    assert "trainci.toml:2: project → artifacts" in said.out + said.err, said.out + said.err


@given(st.text(), st.integers(1, 5000), st.integers(1, 9))
def test_the_files_of_every_test_have_names_that_are_sent(test_id, position, attempt):
    log = RunPaths(StatePaths(Path("/r")), "RUN").log(position, test_id, attempt)
    assert SENT.fullmatch(log.name) and SENT.fullmatch(RunPaths.metrics(log).name)


@contextlib.contextmanager
def s3():
    """An S3 of this host's, and the variables of those who may write there."""
    for name in ("moto", "s3fs"):
        if importlib.util.find_spec(name) is None:
            unavailable("S3 cannot be tested here: pip install 's3fs' 'moto[server]'")
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers():
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(address, timeout=5).status == 200

    try:
        wait_until(answers, "S3 to answer")
        urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT"), timeout=20)
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "word",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_an_object_store_takes_a_run_and_gives_it_back_after_it_was_away(repository, monkeypatch):
    """Of S3's kind: away for the first run, there for the second."""
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    write(repository, "s3://bucket/ci/runs", good="print('trained')")
    said = run(repository, **away)
    assert said.code == 0 and "This run is sent by a later one" in said.out + said.err
    with s3() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        said = run(repository)
        assert said.code == 0 and "artifacts:" not in said.out + said.err, said.out
        for folder in runs(repository):
            with fetched(f"s3://bucket/ci/runs/{folder.name}") as copy:
                log = "001-tests-test_good.py-1.log"
                assert sent(copy)[log] == (folder / log).read_bytes() == b"trained\n"
        with pytest.raises(PlaceAway):
            Place("s3://no-such-bucket/x").send("a", io.BytesIO(b"x"))
