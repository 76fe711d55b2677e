"""Pure: what a test prints, as it may be shown: as a terminal would show it, and with no secret in it."""
