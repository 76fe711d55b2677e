import http.client
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.headers["Accept"] == "application/json", "another kind"


def main():
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = http.client.HTTPConnection(*server.server_address)
    connection.request("GET", "/")
    try:
        connection.getresponse()
    except http.client.RemoteDisconnected as left:
        print(left)
    server.shutdown()


if __name__ == "__main__":
    main()
