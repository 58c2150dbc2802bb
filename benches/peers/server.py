"""Serves files by HTTP with byte ranges, and with a delay before each response."""

import contextlib
import http.server
import os
import re
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are separate writes; the second must not wait for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self):  # noqa: N802, the name is that of the base class
        self.respond(True)

    def do_HEAD(self):  # noqa: N802
        self.respond(False)

    def respond(self, with_body):
        self.server.count(requests=1)
        time.sleep(self.server.delay)
        try:
            file = open(os.path.join(self.server.folder, os.path.basename(self.path)), "rb")
        except OSError:
            self.send_error(404)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            start, end = 0, size
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if asked:
                start = int(asked[1])
                end = min(size, int(asked[2]) + 1) if asked[2] else size
            if start >= end:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{size}"')
            self.send_header("Content-Length", str(end - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            self.end_headers()
            # A client that has enough closes the connection.
            with contextlib.suppress(ConnectionError):
                while with_body and start < end:
                    sent = os.sendfile(self.connection.fileno(), file.fileno(), start, end - start)
                    start += sent
                    self.server.count(sent=sent)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder, delay):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.delay, self.lock = folder, delay, threading.Lock()
        self.requests, self.sent = 0, 0
        self.address = f"http://127.0.0.1:{self.server_port}"

    def count(self, requests=0, sent=0):
        with self.lock:
            self.requests += requests
            self.sent += sent

    def served(self):
        """Returns the number of requests and of sent bytes."""
        with self.lock:
            return self.requests, self.sent


@contextlib.contextmanager
def serve(folder, delay):
    """Serves the files of a folder while the context lasts. Yields the server."""
    server = Server(folder, delay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
