"""Real deadlocks, and slow runs that are none: does `trainci run` name who hangs and where, and nobody else?"""
