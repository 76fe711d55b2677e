"""Pure: turns labels, suites, paths, ids, globs and changed files into Tests, each with its reason."""
