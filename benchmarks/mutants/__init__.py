"""Faults in examples/posttrain, one at a time, and whether the suites that claim their ground notice."""
