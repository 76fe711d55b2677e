"""The console script. ``trainci lease`` is taken aside: it needs nothing of what the other commands import."""

from __future__ import annotations

import sys

from trainci.streams import make_reliable, open_closed


def main() -> int:
    """Run the command of ``sys.argv`` and return its exit code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["lease"]:
        make_reliable()
        from trainci.lease.command import main as lease

        return lease(arguments[1:])
    open_closed()
    from trainci.cli import main as cli

    return cli(arguments, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
