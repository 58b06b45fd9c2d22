# SPDX-License-Identifier: Apache-2.0
"""A server that believes what it is told, to see whether a test of hostile requests notices. It ends lines at LF, joins
folded ones, takes chunked bodies, the first of several lengths, and every target and version."""
import socketserver
import threading


class LenientServer(socketserver.ThreadingTCPServer):
    """A context. `done` are the paths of the PUTs that it carried out. With `refuses` it answers all but the runner's
    probe 400 as the real one does, and then goes on reading instead of closing."""

    allow_reuse_address = daemon_threads = True
    request_queue_size = 1024

    def __init__(self, refuses=False):
        super().__init__(("127.0.0.1", 0), Handler)
        self.done, self.refuses, self.port = set(), refuses, self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            while self.serve_one():
                pass
        except (OSError, ValueError, OverflowError):
            pass

    def serve_one(self):
        line = self.rfile.readline()
        if not line:
            return False
        if not line.strip():
            return True
        fields, name = {}, b""
        for field in iter(self.rfile.readline, b""):
            if not field.strip(b"\r\n"):
                break
            if field[:1] in b" \t":
                fields[name] = fields.get(name, b"") + field.strip()
                continue
            name, _, value = field.partition(b":")
            name = name.strip().lower()
            fields.setdefault(name, value.strip())
        self.take_body(fields)
        words = line.split()
        probe = words[:2] == [b"GET", b"/health/live"] and len(fields) == 1
        if words[0] == b"PUT" and len(words) > 1:
            self.server.done.add(words[1].decode("latin-1"))
        if self.server.refuses and not probe:
            self.answer(b"400 Bad Request", b"application/problem+json", b'{"code":"invalid"}')
        else:
            self.answer(b"200 OK", b"text/plain", b"ok")
        return True

    def take_body(self, fields):
        if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
            for size in iter(self.rfile.readline, b""):
                count = int(size, 16)
                self.rfile.read(count)
                self.rfile.readline()
                if count == 0:
                    return
        self.rfile.read(int(fields.get(b"content-length") or 0))

    def answer(self, status, kind, body):
        close = b"Connection: close\r\n" if self.server.refuses and status.startswith(b"400") else b""
        head = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n"
        self.wfile.write(head % (status, kind, len(body), close) + body)
