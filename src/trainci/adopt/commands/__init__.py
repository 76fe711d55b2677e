"""Which commands of a CI are tests, and what they stand for."""
