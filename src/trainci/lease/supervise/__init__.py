"""Runs a command under a lease and ends all of it."""
