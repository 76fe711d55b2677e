"""The hooks of slime: their table, the samples that they are called with, and what they must return."""
