"""Pure: what the attempts of a test mean, and whose fault it was."""
