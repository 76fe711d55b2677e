import multiprocessing as mp, time
def work(): time.sleep(100)
if __name__ == "__main__":
    p=mp.Process(target=work); p.start(); p.terminate(); p.join()
