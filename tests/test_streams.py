"""Standard streams: nothing that is written, and nobody who stops reading, ends a command."""

from __future__ import annotations

import io
import os

import pytest

from trainci.streams import reliable


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("ascii", b"loss \\u2192 0 \\udcff\n"), ("utf-8", "loss → 0 \\udcff\n".encode())],
)
def test_what_an_encoding_lacks_is_written_escaped(encoding, written):
    raw = io.BytesIO()
    stream = reliable(io.TextIOWrapper(raw, encoding=encoding))
    stream.write("loss → 0 \udcff\n")
    stream.flush()
    assert raw.getvalue() == written


def test_a_reader_that_has_gone_is_no_error_now_or_at_the_end():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        stream = reliable(pipe)
        for _ in range(3):
            stream.write("x" * io.DEFAULT_BUFFER_SIZE * 2)
            stream.flush()
        stream.write("left for the end")
