"""
>>> import threading
>>> thread = threading.Thread(target=work)
>>> thread.start()
>>> thread.join()
"""

import doctest
import sys


def work():
    assert sum([1, 1]) == 3


if __name__ == "__main__":
    sys.exit(doctest.testmod().failed)
