"""The nouns of trainci, as frozen values. Durations are seconds, times are Unix timestamps (UTC)."""
