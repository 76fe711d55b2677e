"""GitHub: what an event starts, the workflows that say the same, and what a job is told and may say."""
