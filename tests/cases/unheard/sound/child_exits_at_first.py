import multiprocessing as mp, os, sys, tempfile
def once(path, told):
    if not os.path.exists(path):
        open(path, 'w').close()
        sys.exit(1)
    told.put('well')
if __name__ == "__main__":
    path, told = tempfile.mktemp(), mp.Queue()
    for _ in range(2):
        p = mp.Process(target=once, args=(path, told)); p.start(); p.join()
    assert told.get(timeout=30) == 'well'
