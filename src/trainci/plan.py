"""Pure: what a run is to do, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainci.model.gates import Baseline
from trainci.model.project import Verdicts
from trainci.schedule import Fitting

# A run may start as many tests at once as its devices allow.
ANY_NUMBER = 1 << 62


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    ``expected`` maps test ids to seconds, ``replay`` to the command that runs each test alone, ``images`` to the
    container that it runs in, ``baselines`` to what is known of its metrics. At most ``jobs`` tests run at once.
    ``on_base``: the commit is on the base branch.
    """

    run_id: str
    commit: str
    fitting: Fitting
    expected: Mapping[str, float]
    replay: Mapping[str, str]
    fail_fast: bool = False
    jobs: int = ANY_NUMBER
    verdicts: Verdicts = field(default_factory=Verdicts)
    excuses: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    on_base: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
