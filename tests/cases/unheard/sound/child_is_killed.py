import multiprocessing as mp, os, signal, time
def work(): time.sleep(100)
if __name__ == "__main__":
    for end in (lambda child: os.kill(child.pid, signal.SIGKILL), mp.Process.kill):
        child = mp.Process(target=work); child.start(); end(child); child.join()
