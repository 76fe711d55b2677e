"""Finds test files and reads what they say of themselves. No test file is ever imported."""
