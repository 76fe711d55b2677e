"""One file a command, wiring only: each reads like a list of the rooms that it passes through."""
