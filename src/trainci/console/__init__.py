"""Paints a run: live on a terminal, as plain lines elsewhere, in foldable groups under GitHub Actions."""
