"""The tables that are found by name: one trainer is one folder beside this file and one line here."""

from __future__ import annotations

from trainci.contracts.slime import table as slime

TABLES = {"slime": slime.TABLE}
DEFAULT = TABLES["slime"]
