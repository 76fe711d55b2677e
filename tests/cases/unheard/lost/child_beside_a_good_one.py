import multiprocessing as mp, sys, time
def work(first, told):
    if first.acquire(False):
        sys.exit(1)
    time.sleep(0.5)
if __name__ == "__main__":
    lock = mp.Lock(); q = mp.Queue()
    ps = [mp.Process(target=work, args=(lock, q)) for _ in range(2)]
    [p.start() for p in ps]; [p.join() for p in ps]
