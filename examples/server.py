#!/usr/bin/env python3
"""The servers of the recording, on every address, IPv4 and IPv6.

TCP 80, 8090  HTTP/1.1; an idle connection is closed after two seconds
TCP 7000      counts bytes: answers once its client has closed its direction
UDP 7         echo (RFC 862)
UDP 514       syslog (RFC 5426): takes all and answers nothing
"""

import http.server
import socket
import socketserver
import struct
import threading


class Http(http.server.BaseHTTPRequestHandler):
    """`/page/N` has N bytes, `/cut` breaks off in the middle, POST counts."""

    protocol_version = "HTTP/1.1"
    timeout = 2

    def do_GET(self):
        if self.path == "/cut":
            self.cut()
        elif self.path.startswith("/page/"):
            self.answer(200, text(int(self.path.removeprefix("/page/"))))
        else:
            self.answer(404, b"There is no such page.\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, b"%d bytes came in.\n" % len(body))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("Connection") == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        """Promises 20,000 bytes, sends 4,000 and resets the connection."""
        self.send_response(200)
        self.send_header("Content-Length", "20000")
        self.end_headers()
        self.wfile.write(text(4000))
        self.wfile.flush()
        # The client's window is open: what was written is on its way before
        # the close, which lingers for no time and so becomes a RST.
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_):
        pass


class Counter(socketserver.StreamRequestHandler):
    """Answers at the end of the client's stream, unless told to `hold`."""

    def handle(self):
        body = self.rfile.read()
        if body.startswith(b"hold"):
            threading.Event().wait()
        self.wfile.write(b"%d bytes came in.\n" % len(body))


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        datagram, sock = self.request
        sock.sendto(datagram, self.client_address)


class Syslog(socketserver.BaseRequestHandler):
    def handle(self):
        pass


class TcpServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # takes IPv4 as well, as mapped addresses
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_):
        """A client that goes away in the middle is part of the play."""


class UdpServer(socketserver.UDPServer):
    """One family each: an answer must leave from the address that was asked."""


class UdpServer6(UdpServer):
    address_family = socket.AF_INET6

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


def text(length):
    line = b"The quick brown fox jumps over the lazy dog.\n"
    return (line * (length // len(line) + 1))[:length]


def main():
    servers = [
        TcpServer(("::", 80), Http),
        TcpServer(("::", 8090), Http),
        TcpServer(("::", 7000), Counter),
        UdpServer(("198.51.100.10", 7), Echo),
        UdpServer(("198.51.100.20", 7), Echo),
        UdpServer6(("2001:db8:100::10", 7), Echo),
        UdpServer6(("2001:db8:100::20", 7), Echo),
        UdpServer(("198.51.100.10", 514), Syslog),
        UdpServer6(("2001:db8:100::10", 514), Syslog),
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
