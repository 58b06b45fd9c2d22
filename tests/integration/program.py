# SPDX-License-Identifier: Apache-2.0
"""Runs `refrain` as a script does: exit code, stdout and stderr, each on a pipe."""
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from cluster import PROGRAM


def tables(text):
    """Tab-separated blocks with a header line, as lists of dicts."""
    out = []
    for block in text.rstrip("\n").split("\n\n"):
        header, *lines = [line.split("\t") for line in block.split("\n")]
        assert all(len(line) == len(header) for line in lines), block
        out.append([dict(zip(header, line)) for line in lines])
    return out


class Served:
    """An HTTP server with this handler, until the block ends."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Recorder(Served):
    """Stands before a node, hands everything on and keeps (method, path, answer)."""

    def __init__(self, node):
        calls = self.calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def hand_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
                answer = node.call(self.command, self.path, body, headers)
                calls.append((self.command, self.path, answer))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = do_POST = do_DELETE = hand_on

            def log_message(self, *_):
                pass

        super().__init__(Handler)


class Watched:
    """A `refrain ... --watch` under way; its lines as they come."""

    def __init__(self, *words):
        self.out, self.err = [], []
        self.process = subprocess.Popen([str(PROGRAM), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        pairs = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True) for pair in pairs]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line.decode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Program(unittest.TestCase):
    server = None  # URL

    def run_it(self, *words, code=0, stdin=None, environment=None):
        """(stdout, stderr), when the exit code is the wanted one."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("REFRAIN_")}
        if self.server:
            ours["REFRAIN_SERVER"] = self.server
        command, env = [str(PROGRAM), *words], {**ours, **(environment or {})}
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, env=env)
        self.assertEqual(done.returncode, code, f"{words}: {done.stdout!r} {done.stderr!r}")
        for line in done.stderr.decode().splitlines():
            self.assertRegex(line, r"^(refrain.*: |See ')", words)
        return done.stdout.decode(), done.stderr.decode()

    def row(self, *words, **more):
        """The one row of the one table."""
        out, _ = self.run_it(*words, **more)
        ((row,),) = tables(out)
        return row

    def file(self, text, name="file"):
        """In a directory of its own, which goes with the test."""
        folder = tempfile.mkdtemp(prefix="refrain-cli-")
        self.addCleanup(shutil.rmtree, folder)
        path = pathlib.Path(folder) / name
        path.write_text(text)
        return str(path)
