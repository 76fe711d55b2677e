"""What is selected of a repository's tests, and what differs."""

from __future__ import annotations

from dataclasses import dataclass

from trainci.model.tests import Test


@dataclass(frozen=True)
class Selected:
    """A test and why it was selected, in words that are shown to the user."""

    test: Test
    reason: str


@dataclass(frozen=True)
class Refused:
    """A selected entry that cannot be run, and one sentence that says why and what to do.

    ``has_job``: only running it is refused, so that it has a job in a workflow, which is red and says so.
    """

    test_id: str
    sentence: str
    has_job: bool = False


@dataclass(frozen=True)
class Selection:
    """The tests of a run, each id once, in the order in which they were asked for.

    ``note`` explains an empty selection. ``unseen`` are sentences about what a change does not reach, or what of it
    cannot be followed.
    """

    tests: tuple[Selected, ...] = ()
    refused: tuple[Refused, ...] = ()
    note: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing was selected, not even to be refused."""
        return not (self.tests or self.refused)


@dataclass(frozen=True)
class Change:
    """One changed file. ``status`` is git's letter; ``old_path`` is set for renames (R) and copies (C)."""

    status: str
    path: str
    old_path: str = ""
