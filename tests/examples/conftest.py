"""Makes the example's package importable, as its own tests find it: from the root of its repository."""

from __future__ import annotations

import sys
from pathlib import Path

POSTTRAIN = Path(__file__).parents[2] / "examples" / "posttrain"
sys.path.insert(0, str(POSTTRAIN))
