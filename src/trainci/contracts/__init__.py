"""Contracts of the functions that a trainer loads from function paths: what it calls them with, what it expects.

A contract test file declares which hooks it holds to their contract, and runs under pytest and directly::

    NUM_GPUS = 0
    HOOKS = {"custom-rm-path": "my_pkg.rewards.score"}

    def test_hooks_keep_their_contracts():
        contracts.require(HOOKS)

    if __name__ == "__main__":
        contracts.main(HOOKS)

Neither a GPU nor torch nor a network is needed: hooks get small samples in memory.

Which hooks there are is a ``Table`` of the trainer: ``TABLES["slime"]`` unless another is given, such as one of the
repository's own. A row of it says how the trainer calls a hook, and its check calls it in the same way::

    def score(hook):
        if not 0 <= hook.call(hook.args(scale=2), "a text", sample="a text") <= 1:
            raise Violation("the score is not between 0 and 1", "a text")

    TABLE = Table((Contract("score-path", ("args", "text"), "a number from 0 to 1", score),))

    def test_hooks_keep_their_contracts():
        contracts.require({"score-path": "my_pkg.score"}, table=TABLE)
"""

from __future__ import annotations

from collections.abc import Iterable

from trainci.contracts import files
from trainci.contracts.checking import Verdict, check
from trainci.contracts.contract import Contract, Hook, Table, Violation
from trainci.contracts.files import Hooks, Settings
from trainci.contracts.limit import Limit
from trainci.contracts.tables import DEFAULT, TABLES

__all__ = ["TABLES", "Contract", "Hook", "Limit", "Table", "Verdict", "Violation", "check", "main", "require"]


def require(
    hooks: Hooks, settings: Settings = None, *, table: Table = DEFAULT, switches: Iterable[str] = ()
) -> None:
    """The body of a test: an AssertionError with the verdicts of the hooks that broke their contract.

    ``settings`` are attributes of ``args`` beyond the usual ones, ``switches`` those of the trainer that change
    how it calls a hook (``group-rm``).

    :raises UsageError: there is no such hook or switch.
    """
    files.require(table, hooks, settings, switches)


def main(hooks: Hooks, settings: Settings = None, *, table: Table = DEFAULT, switches: Iterable[str] = ()) -> None:
    """The end of a contract test file that is run directly; exits with 0, 1 or 2.

    Each of ``hooks`` is an argument; those that are given are checked in the place of all that the file names.
    """
    files.main(table, hooks, settings, switches)
