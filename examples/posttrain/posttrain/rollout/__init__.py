"""From prompts to rewarded samples: the engine that samples, what surrounds it, and the teacher."""
