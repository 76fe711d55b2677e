"""Standard streams: nothing that is written, and nobody who stops reading, ends a command."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from trainci.streams import reliable


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", b"loss \\u2192 0 \\udcff\n"), ("utf-8", "loss → 0 \\udcff\n".encode())],
)
def test_what_an_encoding_lacks_is_written_escaped(encoding, written):
    raw = io.BytesIO()
    stream = reliable(io.TextIOWrapper(raw, encoding=encoding), "standard output")
    stream.write("loss → 0 \udcff\n")
    stream.flush()
    assert raw.getvalue() == written


def test_a_reader_that_has_gone_is_no_error_now_or_at_the_end():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        stream = reliable(pipe, "standard output")
        for _ in range(3):
            stream.write("x" * io.DEFAULT_BUFFER_SIZE * 2)
            stream.flush()
        stream.write("left for the end")


def test_a_full_disk_is_told_once_and_the_rest_is_dropped():
    said: list[str] = []
    with Path("/dev/full").open("w") as full:
        stream = reliable(full, "standard output", said.append)
        for _ in range(3):
            stream.write("x" * 100_000)
            stream.flush()
    (sentence,) = said
    assert "standard output cannot be written: No space left on device" in sentence


def test_a_stream_that_was_closed_is_told_and_takes_what_is_written():
    said: list[str] = []
    stream = reliable(None, "standard output", said.append)
    stream.write("x")
    stream.flush()
    assert len(said) == 1


def test_a_slow_reader_of_a_non_blocking_pipe_gets_every_byte():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got: list[bytes] = []

    def read() -> None:
        while data := os.read(reading, 1000):
            got.append(data)

    reader = threading.Thread(target=read)
    with os.fdopen(writing, "w") as pipe:
        stream = reliable(pipe, "standard output")
        reader.start()
        stream.write("0123456789" * 100_000)
        stream.flush()
    reader.join()
    assert b"".join(got) == b"0123456789" * 100_000
