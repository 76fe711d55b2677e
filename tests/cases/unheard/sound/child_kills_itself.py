import multiprocessing as mp, time, os, signal
def work(i):
    if i == 0: os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
if __name__ == "__main__":
    ps=[mp.Process(target=work,args=(i,)) for i in range(2)]
    for p in ps: p.start()
    ps[0].join()
    assert not ps[0].is_alive()
    for p in ps: p.join()
