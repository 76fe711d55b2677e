"""Writes the schemas of all answers into a folder: ``python -m trainci.answers docs/json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trainci.answers import ANSWERS
from trainci.answers.form import schema_of

if __name__ == "__main__":
    for name, answer in ANSWERS.items():
        Path(sys.argv[1], f"{name}.schema.json").write_text(json.dumps(schema_of(answer), indent=2) + "\n")
