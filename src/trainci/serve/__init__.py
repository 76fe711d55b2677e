"""``trainci serve``: the runs of a repository and the devices of its host as pages, which only read."""
