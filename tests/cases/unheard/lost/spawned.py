import multiprocessing
def check():
    assert 1 == 2
if __name__ == "__main__":
    child = multiprocessing.get_context('spawn').Process(target=check)
    child.start()
    child.join()
