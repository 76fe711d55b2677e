"""Workflows of GitHub, and jobs of other CIs that are written out as theirs."""
