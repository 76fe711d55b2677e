"""What else is read: one file a source."""
