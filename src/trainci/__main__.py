"""The console script. ``trainci lease`` is taken aside: it needs nothing of what the other commands import."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> int:
    """Run the command of ``sys.argv`` and return its exit code."""
    arguments = sys.argv[1:]
    # What whoever started us blocked is not heard, by us or by a test: not even that a child has ended.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if sys.flags.inspect and "PYTHONINSPECT" in os.environ:
        # By it Python ends with what it reads from standard input, and not with our exit code.
        del os.environ["PYTHONINSPECT"]
        os.execv(sys.executable, sys.orig_argv)
    if arguments[:1] == ["lease"]:
        # Nothing of what is imported becomes garbage, and to look for some takes a tenth of a short lease's time.
        gc.disable()
        from trainci.streams import make_reliable

        make_reliable()
        from trainci.lease.command import main as lease

        gc.freeze()
        gc.enable()
        return lease(arguments[1:])
    from trainci.streams import open_closed

    open_closed()
    from trainci.cli import main as cli

    return cli(arguments, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
