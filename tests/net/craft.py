# What a test's script finds before itself: scapy, and wires into every namespace of the topology.
# Sockets here are plain AF_PACKET: scapy only writes and reads the bytes.
import ctypes
import logging
import os
import select
import socket
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror, UDPerror  # noqa: F401
from scapy.layers.inet6 import *  # noqa: F401,F403
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: F401
from scapy.packet import Padding, Raw  # noqa: F401

LAN4, LAN6, LAN = "10.1.0.2", "2001:db8:1::2", "02:00:0a:01:00:02"
WAN4, WAN6, WAN = "10.2.0.2", "2001:db8:2::2", "02:00:0a:02:00:02"
ROUTER4, ROUTER6 = "10.1.0.1", "2001:db8:1::1"
ROUTER_LAN, ROUTER_WAN = "02:00:0a:01:00:01", "02:00:0a:02:00:01"

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _enter(path):
    with open(path) as file:
        if _libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), path)


class Wire:
    """The first device of a host, as a wire: what is sent to it leaves, what arrives is read."""

    def __init__(self, host):
        _enter(f"/run/netns/{os.environ['XR_PREFIX']}-{host}")
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("eth0", 3))

    def send(self, frame):
        self.socket.send(bytes(frame))

    def receive(self, wanted, seconds=3):
        """The first frame that arrives and is wanted, or None."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                break
            octets, (_, _, kind, *_) = self.socket.recvfrom(65536)
            if kind != socket.PACKET_OUTGOING and wanted(frame := Ether(octets)):
                return frame
        return None


lan, wan = Wire("lan"), Wire("wan")


def to_router(*layers):
    """A frame from the lan host to the router."""
    frame = Ether(src=LAN, dst=ROUTER_LAN)
    for layer in layers:
        frame = frame / layer
    return Ether(bytes(frame))  # lengths and checksums filled in


def exchange(frame, wanted, at=lan):
    """Send from lan; the first wanted frame at `at`, which must come."""
    lan.send(frame)
    answer = at.receive(wanted)
    assert answer is not None, f"nothing came back for {frame.summary()}"
    return answer


def vanishes(frame, wanted, at=wan, seconds=0.5):
    """Send from lan; nothing wanted may arrive at `at`."""
    lan.send(frame)
    answer = at.receive(wanted, seconds)
    assert answer is None, f"{frame.summary()} came out as {answer.summary()}"


def same(got, want, what):
    assert got == want, f"{what}: got {got!r}, want {want!r}"
