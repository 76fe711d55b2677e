import atexit
def check():
    assert 1 == 2
if __name__ == "__main__":
    atexit.register(check)
