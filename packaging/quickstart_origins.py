#!/usr/bin/python3
"""quickstart_origins.py CERTIFICATE KEY SELF_SIGNED SELF_SIGNED_KEY: two small HTTPS servers on 127.0.0.1 for quickstart.sh, one
with each certificate. Prints their ports on one line once they listen, and serves until it is killed or its stdin ends."""
import http.server
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"hello from the demonstration's server\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, certificate, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        super().__init__(("127.0.0.1", 0), Handler)

    def finish_request(self, request, client_address):
        # the handshake in the connection's own thread: a client that says nothing holds nobody up
        request.settimeout(10)
        with self.context.wrap_socket(request, server_side=True) as tls:
            super().finish_request(tls, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that refuses a certificate is part of the demonstration


servers = [Server(*sys.argv[1:3]), Server(*sys.argv[3:5])]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(*(server.server_address[1] for server in servers), flush=True)
sys.stdin.read()
