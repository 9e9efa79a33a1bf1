#!/usr/bin/env python3
"""A registry that takes everything and keeps nothing: what is left of a push is the client's.

    benches/null_registry.py PORT

Content is thrown away inside the kernel (MSG_TRUNC), so that it costs next to nothing here.
"""

import hashlib
import json
import socket
import sys
import threading

PIECE = 4 << 20
TRUNCATE = getattr(socket, "MSG_TRUNC", 0)
MANIFESTS = {}


def read_head(connection, rest):
    while b"\r\n\r\n" not in rest:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        rest += piece
    head, _, rest = rest.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines[1:])
    return (*lines[0].split(" ")[:2], fields), rest


def answer(method, path):
    """Answers what has no body that matters."""
    if method in ("GET", "HEAD"):
        return ("200 OK", "", b"") if path == "/v2/" else ("404 Not Found", "", b"")
    if method == "POST":
        return "202 Accepted", f"Location: {path}session\r\n", b""
    return "201 Created", f"Location: {path.partition('?')[0]}/stored\r\n", b""


def manifest(method, path, body):
    """Manifests are kept, because clients ask for them again."""
    name, _, reference = path.rpartition("/")
    if method == "PUT":
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        for reference in (reference, digest):
            MANIFESTS[f"{name}/{reference}"] = digest, body
        return "201 Created", f"Location: {path}\r\nDocker-Content-Digest: {digest}\r\n", b""
    if path not in MANIFESTS:
        return "404 Not Found", "", b""
    digest, body = MANIFESTS[path]
    fields = f"Docker-Content-Digest: {digest}\r\nContent-Type: {json.loads(body)['mediaType']}\r\n"
    return "200 OK", fields, body


def discard(connection, rest, length, buffer):
    taken = min(len(rest), length)
    left = length - taken
    while left:
        count = connection.recv_into(buffer, min(left, PIECE), TRUNCATE)
        if not count:
            return None
        left -= count
    return rest[taken:]


def keep(connection, rest, length):
    while len(rest) < length:
        rest += connection.recv(65536)
    return rest[:length], rest[length:]


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer, rest = bytearray(PIECE), b""
    while True:
        head, rest = read_head(connection, rest)
        if not head:
            return
        method, path, fields = head
        if fields.get("expect") == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(fields.get("content-length", 0))
        if "/manifests/" in path:
            body, rest = keep(connection, rest, length)
            status, more, body = manifest(method, path, body)
        else:
            rest = discard(connection, rest, length, buffer)
            if rest is None:
                return
            status, more, body = answer(method, path)
        head = f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + (b"" if method == "HEAD" else body))


def main():
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
