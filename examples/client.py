#!/usr/bin/env python3
"""What ordinary clients don't do on purpose: client.py ACT ADDRESS [ARGUMENT]

reset ADDRESS        ask for a page and reset the connection while it comes
half-close ADDRESS   send, close this direction, then read the answer
half-open ADDRESS    the same, and wait for ever for an answer
open ADDRESS         connect, send once, and keep the connection
idle ADDRESS         ask for a page, then say nothing until the server closes
reuse ADDRESS        two connections, one after the other, from the same port
echo ADDRESS SIZE    send a datagram of SIZE bytes, of which an echo must come
"""

import socket
import struct
import sys
import time

HTTP, COUNTER, ECHO = 80, 7000, 7


def reset(address):
    # A window too small for the page, so that the server is still sending.
    connection = tcp(address, HTTP, window=4096)
    connection.sendall(request("/page/30000", "keep-alive"))
    connection.recv(3000, socket.MSG_WAITALL)
    # Lingering for no time makes the close a RST (RFC 9293, 3.10.4, ABORT).
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def half_close(address):
    connection = tcp(address, COUNTER)
    connection.sendall(b"count me\n")
    connection.shutdown(socket.SHUT_WR)
    read_all(connection)


def half_open(address):
    connection = tcp(address, COUNTER)
    connection.sendall(b"hold on\n")
    connection.shutdown(socket.SHUT_WR)
    read_all(connection)


def keep_open(address):
    connection = tcp(address, COUNTER)
    connection.sendall(b"hello\n")
    read_all(connection)


def idle(address):
    connection = tcp(address, HTTP)
    connection.sendall(request("/page/200", "keep-alive"))
    read_all(connection)


def reuse(address):
    """The server closes first, so that the waiting (TIME-WAIT) is at its end."""
    for _ in range(2):
        connection = tcp(address, HTTP, source_port=40000)
        connection.sendall(request("/page/200", "close"))
        read_all(connection)
        connection.close()
        time.sleep(0.5)


def echo(address, size):
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.connect((address, ECHO))
        datagram = (b"0123456789abcdef" * (int(size) // 16 + 1))[: int(size)]
        sock.send(datagram)
        if sock.recv(65536) != datagram:
            sys.exit("client.py: the echo differs from what was sent")


def tcp(address, port, source_port=0, window=None):
    connection = socket.socket(family(address), socket.SOCK_STREAM)
    if window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(("", source_port))
    connection.connect((address, port))
    return connection


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def request(path, connection):
    return f"GET {path} HTTP/1.1\r\nHost: office\r\nConnection: {connection}\r\n\r\n".encode()


def read_all(connection):
    while connection.recv(65536):
        pass


ACTS = {
    "reset": reset,
    "half-close": half_close,
    "half-open": half_open,
    "open": keep_open,
    "idle": idle,
    "reuse": reuse,
    "echo": echo,
}

if len(sys.argv) < 3 or sys.argv[1] not in ACTS:
    sys.exit(__doc__)
ACTS[sys.argv[1]](*sys.argv[2:])
