"""Scripts of a shell as the commands that they run."""
