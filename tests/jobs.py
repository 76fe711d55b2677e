"""What jobs of several tests run."""

from __future__ import annotations

ENDS_SLOWLY = """
import os, pathlib, signal, sys, time
def slow(*_):
    time.sleep(0.4)
    pathlib.Path(sys.argv[2]).write_text("gone")
    os._exit(0)
signal.signal(signal.SIGTERM, slow)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
while True: time.sleep(1)
"""
"""Writes its process id to the first file; asked to end, it takes its time, and then writes to the second one."""
