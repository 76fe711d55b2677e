"""``python -m trainci.lease``: a lease as executors start it, by hand. See ``command``."""

from __future__ import annotations

import sys

from trainci.lease.command import internal_main

if __name__ == "__main__":
    sys.exit(internal_main(sys.argv[1:]))
