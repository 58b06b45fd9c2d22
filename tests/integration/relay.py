# SPDX-License-Identifier: Apache-2.0
"""A TCP relay between a node and Kafka, so that a test can cut one node off and leave the others alone."""
import socket
import threading

from kafka_broker import free_ports


class Relay:
    """Listens on 127.0.0.1:`port` from the start; `target` is the port behind it. For one test at a time."""

    def __init__(self):
        self.port, self.target = free_ports(1)[0], None
        self._lock, self._pairs, self._listener = threading.Lock(), set(), None
        self.mend()

    def cut(self):
        """Ends every connection; new ones are refused."""
        with self._lock:
            listener, self._listener = self._listener, None
            pairs, self._pairs = self._pairs, set()
        if listener:
            listener.shutdown(socket.SHUT_RDWR)  # wakes its accept()
            listener.close()
        for pair in pairs:
            for end in pair:
                _shut(end)

    def mend(self):
        if self._listener:
            return
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                pair = client, socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self._lock:
                wanted = self._listener is listener
                if wanted:
                    self._pairs.add(pair)
            if not wanted:
                for end in pair:
                    end.close()
                return
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._copy, args=(pair, source, sink), daemon=True).start()

    def _copy(self, pair, source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for end in pair:
            _shut(end)
        with self._lock:
            self._pairs.discard(pair)


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
