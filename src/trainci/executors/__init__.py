"""What starts a test and ends all of it. ``base`` says what an executor promises, ``by_name`` which there are.

Nothing is imported here: each process that starts leases, and each node of an engine's job, would pay for it.
"""
