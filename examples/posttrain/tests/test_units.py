"""The unit tests of the package, by pytest; more arguments go to it."""

import sys

from trainci.testing import exec_command, main

NUM_GPUS = 0


def prepare():
    """There is nothing to build."""


def execute():
    exec_command(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(sys.argv[1:] or ["unit_tests"])]
    )


if __name__ == "__main__":
    main(prepare, execute)
