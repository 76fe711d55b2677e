"""``main(prepare, execute)``: the two phases of a test file."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from trainci.errors import TrainciError, UsageError

# As urllib.request reads them: of any scheme, which has no underscore in it, and of `all`, in any case.
_PROXY_VARIABLE = re.compile(r"(?!no_)[a-z0-9+.-]+_proxy", re.IGNORECASE)


def main(prepare: Callable[[], object], execute: Callable[[], object]) -> None:
    """Run ``prepare()``, then ``execute()`` without proxy variables, which would catch ranks' own HTTP calls.

    ``TRAINCI_PHASE`` set to ``prepare`` or ``execute`` runs that phase alone: the runner prepares before it
    takes GPUs. An exception of a phase leaves its traceback on stderr and ends the process: with 1 for any
    failure of the test, with the error's own exit code (3: the machine's fault) for a ``TrainciError``.
    SIGTERM ends it with 143 once the commands that the test runs have been ended.
    """
    signal.signal(signal.SIGTERM, _exit_on_signal)
    try:
        phase = os.environ.get("TRAINCI_PHASE", "")
        if phase not in ("", "prepare", "execute"):
            raise UsageError(f"TRAINCI_PHASE={phase!r}: neither 'prepare' nor 'execute'; unset it to run both")
        if phase != "execute":
            prepare()
        for name in filter(_PROXY_VARIABLE.fullmatch, list(os.environ)):
            del os.environ[name]
        if phase != "prepare":
            execute()
    except TrainciError as error:
        traceback.print_exc()
        sys.exit(error.exit_code)


def _exit_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    # An exception unwinds through exec_command, which ends its command on the way.
    sys.exit(128 + number)
