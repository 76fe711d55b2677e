import threading
def check():
    assert 1 == 2
if __name__ == "__main__":
    one = threading.Thread(target=check)
    one.start()
    one.join()
