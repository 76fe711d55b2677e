import multiprocessing as mp, time, os, signal
def work(): time.sleep(100)
if __name__ == "__main__":
    p=mp.Process(target=work); p.start(); os.kill(p.pid, signal.SIGTERM); p.join()
