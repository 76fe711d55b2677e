import os
def check():
    assert 1 == 2
if __name__ == "__main__":
    if os.fork() == 0:
        check()
    os.wait()
