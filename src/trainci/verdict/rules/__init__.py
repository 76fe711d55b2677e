"""One rule a file; ``trainci.verdict.decide`` lists them."""
