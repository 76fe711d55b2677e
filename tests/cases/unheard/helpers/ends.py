import os


def test_a():
    os.kill(os.getpid(), 9)
