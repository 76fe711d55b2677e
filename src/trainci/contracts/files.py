"""What a contract test file and the command line share: several hooks, their verdicts, the exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO

from trainci.contracts.apart import check_apart
from trainci.contracts.checking import Verdict, check
from trainci.contracts.contract import Contract, Table
from trainci.contracts.limit import USUAL, Limit
from trainci.errors import EXIT_FAILED, EXIT_OK, TrainciError, UsageError

Hooks = Mapping[str, str]
"""Option → function path."""
Settings = Mapping[str, object] | None


def verdicts_apart(
    table: Table, hooks: Hooks, settings: Settings, switches: Iterable[str] = (), limit: Limit = USUAL
) -> Iterator[Verdict]:
    """A verdict for each of ``hooks``, in the form that ``switches`` ask for, as it is reached in another process.

    :raises UsageError: the table has no such hook or no such switch.
    """
    return check_apart(_found(table, hooks, switches), settings, table.shown, limit)


def _found(table: Table, hooks: Hooks, switches: Iterable[str]) -> list[tuple[Contract, str]]:
    switches = tuple(switches)
    for switch in switches:
        if switch not in table.switches:
            known = ", ".join(table.switches) or "none"
            raise UsageError(f"there is no switch {switch!r} that changes a hook's contract; there are: {known}")
    return [(table.find(option, *switches), path) for option, path in hooks.items()]


def require(table: Table, hooks: Hooks, settings: Settings, switches: Iterable[str] = ()) -> None:
    """The body of a test: an AssertionError with the verdicts of the hooks that broke their contract."""
    found = _found(table, hooks, switches)
    verdicts = [check(contract, path, settings, table.shown) for contract, path in found]
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        raise AssertionError("\n" + "\n".join(map(str, failed)))


def report(found: Iterable[Verdict], stream: TextIO) -> int:
    """Write each verdict as it comes, and their count; 1 when one of them failed."""
    seen = []
    for verdict in found:
        seen.append(verdict)
        stream.write(f"{verdict}\n")
        stream.flush()
    passed = [verdict for verdict in seen if verdict.passed]
    partly = sum(bool(verdict.not_called) for verdict in passed)
    note = f", {partly} of them by signature only" if partly else ""
    stream.write(f"{len(passed)} of {len(seen)} hooks passed{note}.\n")
    return EXIT_OK if len(passed) == len(seen) else EXIT_FAILED


def main(table: Table, hooks: Hooks, settings: Settings, switches: Iterable[str] = ()) -> None:
    """The end of a contract test file that is run directly; exits with 0, 1 or 2.

    Each of ``hooks`` is an argument; those that are given are checked in the place of all that the file names.
    """
    parser = argparse.ArgumentParser(
        description="Hold hooks to their contracts; without arguments, the file's own."
    )
    for option in hooks:
        parser.add_argument(f"--{option}", dest=option, metavar="PKG.MODULE.FUNCTION")
    on = set(switches)
    for switch in table.switches:
        parser.add_argument(f"--{switch}", dest=switch, action="store_true", default=switch in on)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an attribute of args")
    chosen = vars(parser.parse_args())
    given = {option: chosen[option] for option in hooks if chosen[option]}
    try:
        values = {**(settings or {}), **parse_settings(chosen["set"])}
        on |= {switch for switch in table.switches if chosen[switch]}
        sys.exit(report(verdicts_apart(table, given or hooks, values, on), sys.stdout))
    except TrainciError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def parse_settings(texts: Iterable[str]) -> dict[str, object]:
    """``name=value`` each; a value is JSON where it parses as such, else text.

    :raises UsageError: one has no ``=`` or no name.
    """
    settings: dict[str, object] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise UsageError(f"--set {text!r}: write NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
