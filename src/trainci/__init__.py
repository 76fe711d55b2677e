"""Continuous integration for model-training repositories."""

__version__ = "0.1.0"
