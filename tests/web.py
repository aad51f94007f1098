"""A web server of this process."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serve(handler: type[http.server.BaseHTTPRequestHandler]):
    """The address of a server that answers by a handler, while inside."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
