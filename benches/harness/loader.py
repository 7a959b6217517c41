"""Writes routes into the kernel of its network namespace: 2^20 of them are all of 32.0.0.0/4 in /24s.

    loader.py add COUNT GATEWAY
    loader.py change COUNT GATEWAY OTHER RATE SECONDS

As JSON: how many changes were made, and in how many seconds. `change` leads the routes from one
gateway to the other and back, so many a second.

A daemon waits for an answer to each message; this one sends hundreds with one system call and hears
of errors only. So it is the kernel that is measured, and who follows it.
"""

import ipaddress
import itertools
import json
import socket
import struct
import sys
import time

NEWROUTE, REQUEST, REPLACE, CREATE = 24, 1, 0x100, 0x400
MAIN, BIRD, UNICAST = 254, 12, 1
DESTINATION, GATEWAY, PRIORITY = 1, 5, 6
FIRST, METRIC = int(ipaddress.IPv4Address("32.0.0.0")), 32
# Messages of one system call.
AT_ONCE = 500


def attribute(kind, octets):
    return struct.pack("=HH", 4 + len(octets), kind) + octets


def replace(number, gateway):
    """The message that makes route `number` lead to this gateway, whether it is there or not."""
    to = struct.pack(">I", FIRST + (number << 8))
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 24, 0, 0, MAIN, BIRD, 0, UNICAST, 0)
    body += attribute(DESTINATION, to) + attribute(GATEWAY, gateway)
    body += attribute(PRIORITY, struct.pack("=I", METRIC))
    flags = REQUEST | REPLACE | CREATE
    return struct.pack("=IHHII", 16 + len(body), NEWROUTE, flags, 0, 0) + body


def writes(count, gateway):
    """What to send, each for AT_ONCE routes."""
    address = socket.inet_aton(gateway)
    return [b"".join(replace(number, address) for number in range(start, start + AT_ONCE))
            for start in range(0, count, AT_ONCE)]


def complain(kernel):
    """End if the kernel has said anything: without a request for answers it says errors only."""
    try:
        answer = kernel.recv(4096, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return
    except OSError as error:
        # So many refusals that there was no room for them.
        sys.exit(f"the kernel refuses routes: {error}")
    (error,) = struct.unpack_from("=i", answer, 16)
    sys.exit(f"the kernel refuses a route: error {-error}")


def load(kernel, blocks):
    for block in blocks:
        kernel.send(block)
    complain(kernel)
    return len(blocks) * AT_ONCE


def change(kernel, here, there, rate, seconds):
    made, start = 0, time.monotonic()
    for block in itertools.cycle(there + here):
        behind = made / rate - (time.monotonic() - start)
        if behind > 0:
            time.sleep(behind)
        if time.monotonic() - start > seconds:
            complain(kernel)
            return made
        kernel.send(block)
        made += AT_ONCE


def main(what, count, gateway, *more):
    blocks = writes(int(count), gateway)
    others = writes(int(count), more[0]) if more else []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        start = time.monotonic()
        if what == "add":
            made = load(kernel, blocks)
        else:
            made = change(kernel, blocks, others, float(more[1]), float(more[2]))
        print(json.dumps({"changes": made, "seconds": time.monotonic() - start}))


main(*sys.argv[1:])
