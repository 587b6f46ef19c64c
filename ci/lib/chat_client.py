"""A WebSocket client that chats: says something now and then, and prints what it hears.

    python3 chat_client.py HOST PORT SECONDS_BETWEEN NAME

The standard library alone, so that it runs wherever Python does.
"""

import base64
import os
import select
import socket
import sys
import time


def connect(host, port):
    stream = socket.create_connection((host, port), timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        if not byte:
            sys.exit("the server hung up")
        head += byte
    status = head.split(b"\r\n", 1)[0].decode()
    if " 101 " not in status:
        sys.exit(f"not upgraded: {status}")
    return stream


def frame(opcode, payload):
    """A masked frame of at most 125 bytes (RFC 6455, section 5.2)."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked


def take_frame(buffer):
    """The first frame's opcode and payload and what is behind it, or None."""
    if len(buffer) < 2:
        return None
    length, at = buffer[1], 2
    if length == 126:
        length, at = int.from_bytes(buffer[2:4], "big"), 4
    elif length == 127:
        length, at = int.from_bytes(buffer[2:10], "big"), 10
    if len(buffer) < at + length:
        return None
    return buffer[0] & 0x0F, buffer[at : at + length], buffer[at + length :]


def main():
    host, port, between, name = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    stream = connect(host, port)
    buffer, count, due = b"", 0, time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            count += 1
            due = now + between
            stream.sendall(frame(1, f"{name}: hello number {count}".encode()[:125]))
        readable, _, _ = select.select([stream], [], [], max(0.0, due - now))
        if not readable:
            continue
        read = stream.recv(65536)
        if not read:
            return
        buffer += read
        while (taken := take_frame(buffer)) is not None:
            opcode, payload, buffer = taken
            if opcode == 1:
                print(f"heard: {payload.decode(errors='replace')}", flush=True)
            elif opcode == 8:
                print("the server says good-bye", flush=True)
                return
            elif opcode == 9:
                stream.sendall(frame(10, payload))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
