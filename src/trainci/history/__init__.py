"""What is remembered of runs: the store, the listener that fills it, the event log, what tests recorded."""
