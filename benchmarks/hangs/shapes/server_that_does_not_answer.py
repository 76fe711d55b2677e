# expect: process \d+ \(.*\) is in `ask` \(.*\.py:\d+\)
"""A client waits for the answer of a server that only listens."""

import socket
import time

NUM_GPUS = 1


def stuck():
    print(f"stuck {time.time()}", flush=True)


def ask(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        stuck()
        return connection.recv(1024)


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as server:
        ask(server.getsockname()[1])
