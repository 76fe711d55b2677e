import threading


def work():
    raise ValueError("closed")


if __name__ == "__main__":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not thread.is_alive()
