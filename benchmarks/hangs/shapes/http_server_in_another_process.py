# expect: in `do_GET` \(.*\.py:\d+\)
"""A client waits for a server of another process, whose handler waits."""

import http.server
import multiprocessing
import threading
import time
import urllib.request

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        stuck()
        threading.Event().wait()


def serve(pipe):
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


def ask(port):
    return urllib.request.urlopen(f"http://127.0.0.1:{port}/").read()


if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.Process(target=serve, args=(theirs,), daemon=True).start()
    ask(ours.recv())
