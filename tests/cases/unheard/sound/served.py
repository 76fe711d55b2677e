import http.client
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        raise ConnectionError("it left")


class Server(http.server.HTTPServer):
    failed = 0

    def handle_error(self, request, client_address):
        self.failed += 1


def main():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(*server.server_address)
    connection.request("GET", "/")
    try:
        connection.getresponse()
    except http.client.RemoteDisconnected:
        pass
    server.shutdown()
    assert server.failed == 1


if __name__ == "__main__":
    main()
