"""TCP segments that no honest stack sends: with any source, as frames on a link. And a service that shows what came in.

They are programs of the standard library, so that they run on test hosts, too.
"""

from __future__ import annotations

# The Internet checksum (RFC 1071), for the programs of all forged packets.
CHECKSUM = """
import struct

def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
"""

# Functions of the programs that send segments.
SEGMENTS = (
    CHECKSUM
    + """
import socket, sys, time

def segment(source, sport, destination, dport, flags, option, seen=2000, data=b"", number=1000):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    options = b"\\x01\\x01\\x13\\x12" + b"\\0" * 16 if option == "md5" else b""
    ttl = 1 if option == "near" else 64
    bits = sum({"S": 2, "R": 4, "A": 16}[flag] for flag in flags)
    head = (20 + len(options)) // 4 << 4
    number += "S" not in flags
    def tcp(value):
        fixed = struct.pack("!HHIIBBHHH", sport, dport, number, (seen + 1) % 2**32, head, bits, 65535, value, 0)
        return fixed + options + data
    if family == socket.AF_INET6:
        body = tcp(checksum(ends + struct.pack("!II", len(tcp(0)), 6) + tcp(0)))
        return struct.pack("!H", 0x86DD), struct.pack("!IHBB", 6 << 28, len(body), 6, ttl) + ends + body
    body = tcp(checksum(ends + struct.pack("!BBH", 0, 6, len(tcp(0))) + tcp(0)))
    def ip(value):
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, ttl, 6, value) + ends
    return struct.pack("!H", 0x0800), ip(checksum(ip(0))) + body

def answer(wire, dport, sport):
    end = time.monotonic() + 3
    wire.settimeout(3)
    while time.monotonic() < end:
        frame = wire.recv(2000)
        start = {0x0800: 34, 0x86DD: 54}.get(struct.unpack_from("!H", frame, 12)[0])
        if start and len(frame) >= start + 20:
            from_, to, number, _seen, _head, bits = struct.unpack_from("!HHIIBB", frame, start)
            if (from_, to, bits & 18) == (dport, sport, 18):
                return number
    raise SystemExit("no SYN/ACK came")
"""
)

# Arguments: interface, MAC of the victim, and segments. A segment is source address, source port, destination address,
# destination port, flags (S, A, R), an option ("md5": TCP-MD5, RFC 2385; "near": no router passes it on), and for an
# answer to a SYN/ACK also the sequence number of that, and data.
# "count*3000" instead of a port sends one segment from each of 3000 ports, beginning with 10000.
# A segment that begins with "?" waits for the SYN/ACK to it and prints the sequence number of that.
FORGER = (
    SEGMENTS
    + """
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((sys.argv[1], 0))
frame = bytes.fromhex(sys.argv[2].replace(":", "")) + wire.getsockname()[4]
for text in sys.argv[3:]:
    source, sport, destination, dport, flags, option, *more = text.lstrip("?").split(",")
    number, data = (int(more[0]), more[1].encode()) if more else (2000, b"")
    def port(text):
        name, _star, count = text.partition("*")
        return range(10000, 10000 + int(count)) if count else range(int(name), int(name) + 1)
    pairs = [(a, b) for a in port(sport) for b in port(dport)]
    for a, b in pairs:
        wire.send(frame + b"".join(segment(source, a, destination, b, flags, option, number, data)))
    if text.startswith("?"):
        print(answer(wire, int(dport), int(sport)))
"""
)


def naive_table(port: int, match: str = "") -> str:
    """A table of nft, as many write it: what conntrack knows, and what looks like the middle of a connection, comes
    back in. It closes ``port``. ``match``: what packets to the port must also match."""
    return f"""
table inet naive {{
    chain input {{
        type filter hook input priority -150; policy accept;
        ct state established,related return
        ct state new tcp flags & (syn | rst | ack) == ack return
        {match}tcp dport {port} drop
    }}
}}
"""


# Arguments: address, port, source port. Prints "open" if the service answered, or what went wrong.
CLIENT = """
import socket, struct, sys
address, port, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
sock.settimeout(float(sys.argv[4]) if len(sys.argv) > 4 else 0.8)
data = sys.argv[5].encode() if len(sys.argv) > 5 else b"ping"
try:
    sock.bind(("", source))
    sock.connect((address, port) + ((0, socket.if_nametoindex("eth0")) if address.startswith("fe80") else ()))
    sock.send(data)
    print("open" if sock.recv(10) == b"pong" else "odd")
except socket.timeout:
    print("filtered")
except OSError as problem:
    print(problem)
"""

# Arguments: port. Writes each piece of data that it receives as a line, answers "pong", and resets the connection
# when it is told "reset".
SERVICE = """
import socket, struct, sys, threading
sock = socket.socket(socket.AF_INET6)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("::", int(sys.argv[1])))
sock.listen(64)
print("ready", flush=True)
def serve(peer):
    try:
        while True:
            data = peer.recv(100)
            if not data:
                return
            print(data.decode(), flush=True)
            if data == b"reset":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                return
            peer.send(b"pong")
    except OSError:
        pass
while True:
    threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()
"""
