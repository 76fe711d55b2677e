import threading

import pytest


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a():
    def work():
        assert sum([1, 1]) == 3

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_b():
    def work():
        raise ConnectionError("as a server does that is closed")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
