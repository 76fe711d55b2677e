from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
import os
def work(x): os._exit(3)
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as p:
        try: p.submit(work,1).result()
        except BrokenProcessPool: pass
        else: raise SystemExit(1)
