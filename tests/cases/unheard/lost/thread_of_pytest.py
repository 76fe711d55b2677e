import threading


def test_a():
    def work():
        assert sum([1, 1]) == 3, "in a thread"

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
