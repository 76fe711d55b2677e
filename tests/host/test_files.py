"""Small files, read as a whole."""

from __future__ import annotations

from pathlib import Path

from trainci.host.files import read_text


def test_files_of_proc_are_read_to_their_end():
    """The kernel gives them in pieces of a page or so."""
    text = Path("/proc/kallsyms").read_text()
    assert len(text) > 100_000
    assert read_text("/proc/kallsyms") == text
