"""convert_checkpoint: once for the same input, anew for another one, never half."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trainci.errors import MachineError, UsageError
from trainci.testing import convert_checkpoint


class Converter:
    """Counts what it does; its text is that of every other one."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, source: Path, target: Path) -> None:
        self.calls += 1
        (target / "deep").mkdir()
        (target / "deep" / "weights").write_bytes(b"converted " + (source / "weights").read_bytes())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "weights").write_bytes(b"weights")
    return tmp_path / "source"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINCI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_same_conversion_is_made_once_wherever_its_source_lies(source: Path, cache: Path) -> None:
    convert = Converter()
    first = convert_checkpoint(source, convert)
    assert (first / "deep" / "weights").read_bytes() == b"converted weights"
    assert first.is_relative_to(cache)
    moved = source.rename(source.with_name("moved"))
    assert convert_checkpoint(moved, convert) == first
    assert convert.calls == 1


def test_a_cache_of_ones_own_is_another_cache(source: Path, cache: Path, tmp_path: Path) -> None:
    convert = Converter()
    convert_checkpoint(source, convert)
    assert convert_checkpoint(source, convert, cache=tmp_path / "own").is_relative_to(tmp_path / "own")
    assert convert.calls == 2


def test_whatever_the_result_depends_on_makes_another_conversion(source: Path, cache: Path) -> None:
    script = source.parent / "script.py"
    script.write_text("v1")
    convert = Converter()
    places = [convert_checkpoint(source, convert, depends_on=[script])]

    def again(**options: object) -> None:
        places.append(convert_checkpoint(source, convert, **options))  # type: ignore[arg-type]

    script.write_text("v2")
    again(depends_on=[script])
    again(depends_on=[script], key=["--tp", "2"])
    again(depends_on=[script], key=["--tp 2"])
    again()
    (source / "weights").write_bytes(b"w3ights")
    again()
    (source / "weights").rename(source / "other")
    (source / "weights").write_bytes(b"w3ights")
    again()
    places.append(convert_checkpoint(source, lambda source, target: Converter()(source, target)))
    assert len(set(places)) == len(places) == 8
    assert convert.calls == 7


def test_a_failed_conversion_leaves_nothing_and_is_made_anew(source: Path, cache: Path) -> None:
    def fails(source: Path, target: Path) -> None:
        Converter()(source, target)
        if not (source.parent / "ready").exists():
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        convert_checkpoint(source, fails)
    assert [path.name for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    (source.parent / "ready").touch()
    assert (convert_checkpoint(source, fails) / "deep" / "weights").exists()


def test_a_result_that_lost_a_file_is_made_anew(source: Path, cache: Path) -> None:
    convert = Converter()
    for damage in (lambda file: file.unlink(), lambda file: file.write_bytes(b""), lambda file: None):
        place = convert_checkpoint(source, convert)
        assert (place / "deep" / "weights").read_bytes() == b"converted weights"
        damage(place / "deep" / "weights")
    assert convert.calls == 3


def test_a_conversion_that_makes_nothing_is_refused(source: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="left no file"):
        convert_checkpoint(source, lambda source, target: None)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_nothing_to_convert_is_said(tmp_path: Path, cache: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "nothing")
    with pytest.raises(UsageError, match="nothing: there is nothing to convert"):
        convert_checkpoint(tmp_path / "nothing", Converter())


def test_a_key_that_would_be_split_into_letters_is_refused(source: Path, cache: Path) -> None:
    with pytest.raises(UsageError, match="list of strings"):
        convert_checkpoint(source, Converter(), key="v1")


def test_a_download_is_not_read_to_know_what_it_is(source: Path, cache: Path, tmp_path: Path) -> None:
    """Its files are links to their hashes; a terabyte of them would take an hour to hash."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    name = "ab" * 32
    shutil.move(source / "weights", blobs / name)
    (source / "weights").symlink_to(blobs / name)
    convert = Converter()
    first = convert_checkpoint(source, convert)
    (blobs / name).write_bytes(b"as if it had not been read")
    assert convert_checkpoint(source, convert) == first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_the_machines_fault(source: Path, cache: Path) -> None:
    cache.mkdir(mode=0o555)
    with pytest.raises(MachineError, match="cannot be written"):
        convert_checkpoint(source, Converter())


PROGRAM = """
import os, sys, time
from pathlib import Path
from trainci.testing import convert_checkpoint

def convert(source, target):
    (target / "first").write_text("half")
    with open(source.parent / "calls", "a") as calls:
        calls.write(f"{os.getpid()}\\n")
    while not (source.parent / "go").exists():
        time.sleep(0.02)
    (target / "second").write_text("whole")

place = convert_checkpoint(sys.argv[1], convert)
print(sorted(path.name for path in place.iterdir() if not path.name.startswith(".")), flush=True)
"""


def test_of_several_processes_one_converts_and_when_it_is_killed_another_one_does(
    source: Path, cache: Path, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    program = source.parent / "program.py"
    program.write_text(PROGRAM)
    calls = source.parent / "calls"

    def converting() -> list[int]:
        return [int(line) for line in calls.read_text().split()] if calls.exists() else []

    outputs = [source.parent / f"output-{number}" for number in range(4)]
    processes = [subprocess.Popen([sys.executable, program, source], stdout=output.open("w")) for output in outputs]
    # Either the others say that they wait, or they convert as well.
    wait_for(
        lambda: (
            len(converting()) > 1 or sum("another process is at it" in path.read_text() for path in outputs) == 3
        )
    )
    assert len(converting()) == 1
    (killed,) = [process for process in processes if process.pid == converting()[0]]
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: len(converting()) == 2)
    (source.parent / "go").touch()
    assert [process.wait(60) for process in processes if process is not killed] == [0] * 3
    killed.wait()
    said = [path.read_text().splitlines()[-1:] for path in outputs]
    assert said.count(["['first', 'second']"]) == 3
    assert len(converting()) == 2
