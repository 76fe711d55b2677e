"""Contracts of the functions that a trainer loads from function paths: what it calls them with, what it expects.

A contract test file declares which hooks it holds to their contract, and runs under pytest and directly::

    NUM_GPUS = 0
    HOOKS = {"custom-rm-path": "my_pkg.rewards.score"}

    def test_hooks_keep_their_contracts():
        contracts.require(HOOKS)

    if __name__ == "__main__":
        contracts.main(HOOKS)

Neither a GPU nor torch nor a network is needed: hooks get small samples in memory.
"""

from __future__ import annotations

from trainci.contracts.checking import Verdict, check
from trainci.contracts.files import main, require
from trainci.contracts.slime.table import CONTRACTS, find

__all__ = ["CONTRACTS", "Verdict", "check", "find", "main", "require"]
