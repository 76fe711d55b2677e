"""GitHub workflows rendered from the repository's templates, and the check that the committed files match."""
