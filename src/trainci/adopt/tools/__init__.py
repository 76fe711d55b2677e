"""What files of make, nox, tox and their like say that a command of theirs runs."""
