"""A static server for an exported app that can be killed, brought back, and told to serve badly."""

from __future__ import annotations

import socket
import struct
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Site:
    """Serves `folder` on a port of its own until stop(); start() takes the same port again.

    `cut`: path -> bytes after which the connection breaks; `flip`: paths whose first byte is wrong; `headers`: sent with
    everything; `asked`: the paths that were asked for.
    """

    def __init__(self, folder: Path, headers: dict[str, str] | None = None) -> None:
        self.folder, self.headers = folder, headers or {}
        self.cut: dict[str, int] = {}
        self.flip: set[str] = set()
        self.asked: list[str] = []
        self.port = 0
        self.start()
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, directory=str(site.folder), **kwargs)

            def log_message(self, *_):
                pass

            def end_headers(self):
                for name, value in site.headers.items():
                    self.send_header(name, value)
                super().end_headers()

            def do_GET(self):
                name = self.path.lstrip("/").partition("?")[0]
                site.asked.append(name)
                if name not in site.cut and name not in site.flip:
                    return super().do_GET()
                data = bytearray((site.folder / name).read_bytes())
                if name in site.flip:
                    data[0] ^= 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: site.cut.get(name, len(data))])
                if name in site.cut:
                    # A reset, as when a server is killed or a phone leaves the network.
                    self.wfile.flush()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                return None

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
