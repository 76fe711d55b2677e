"""One training step once more, from the papers' formulas: what the suites hold both engines to.

It was written before its author had read ``posttrain/training`` and what leans on that, and it shares none of
their shortcuts: one process, float64, one sequence at a time, no padding, no mask over a batch. It imports nothing
of ``posttrain``. When the two disagree, look the formula up; never copy one to the other.
"""
