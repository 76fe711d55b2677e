import multiprocessing
def check():
    assert 1 == 2
if __name__ == "__main__":
    child = multiprocessing.Process(target=check)
    child.start()
    child.join()
