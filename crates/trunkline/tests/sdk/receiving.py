"""An endpoint on a free port of this machine, for the scripts beside this file."""

import http.server
import threading


def receive(method, remember):
    """Answers requests of this method with 204, after `remember(request, body)`; gives the port."""

    def take(request):
        remember(request, request.rfile.read(int(request.headers["content-length"])))
        request.send_response(204)
        request.end_headers()

    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

    setattr(Receiver, f"do_{method}", take)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
