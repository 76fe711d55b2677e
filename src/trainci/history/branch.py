"""What became of tests on a branch, by those of its commits that runs were of."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from trainci.history.store import Store
from trainci.model.run import Outcome

# So many runs of a test are looked through.
_MOST = 500
_SAYS_NOTHING = (Outcome.SKIPPED.value, Outcome.INTERRUPTED.value, Outcome.MACHINE.value, Outcome.REFUSED.value)


def last_outcomes(store: Store, commits: Collection[str], test_ids: Iterable[str]) -> dict[str, str]:
    """What became of each of ``test_ids`` when it ran last at one of ``commits``; without those that never did.

    What the machine's fault ended, or somebody, says nothing of the branch.

    :raises StoreError: the history does not answer.
    """
    known, found = frozenset(commits), {}
    for test_id in test_ids:
        of_branch = (result for result in store.results(test_id, _MOST) if result.commit in known)
        telling = (result.outcome for result in of_branch if result.outcome not in _SAYS_NOTHING)
        if outcome := next(telling, ""):
            found[test_id] = outcome
    return found
