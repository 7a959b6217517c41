"""What somebody chooses who wants xrouter's lookups to be slow: routes that make every lookup as
long as the tables allow, and 2^20 destinations, so that the next entry is never in a cache.

The generator varies 20 bits of a destination (VARIED in its main.rs): 13 of one word, and of
another the 2 highest and 5 of the others. Here are routes for the 15 that come first.
"""

import ipaddress

from forwarders import Xrouter
from measure import ONE_FLOW, Traffic
from network import HOSTS, HOSTS6, ROUTER

# The most that router.toml allows: each /24 with a longer prefix in it needs a group, those of the
# router's own subnets too.
IPV4_GROUPS = 32767
IPV6_NODES = 131072

# Where the destinations are; the bits that vary are 0.
FLOWS = {
    "IPv4": ONE_FLOW._replace(destination="64.0.0.0"),
    "IPv6": Traffic(HOSTS6["lan"], "fd03::", False),
}
# The rows of the report: is the table large, and are there many destinations?
CASES = {
    "one flow, small table": (False, False),
    "one flow, large table": (True, False),
    "2^20 destinations, large table": (True, True),
}


def routes(flow, is_large):
    """A prefix that covers all destinations, and those that are hard to tell from it."""
    cover, long = {"IPv4": ("64.0.0.0/3", ipv4), "IPv6": ("fd03::/32", ipv6)}[flow]
    return [cover, *(long() if is_large else [])]


def ipv4():
    """Three lengths in one /24 of each /18: a lookup reads a line of the first table and a line of
    a group, and all of them together are many times a cache of the second level."""
    for n in range(IPV4_GROUPS - len(ROUTER)):
        network = ipaddress.IPv4Address(FLOWS["IPv4"].destination) + (n << 14)
        yield from (f"{network}/{length}" for length in (25, 26 + n % 6, 32))


def ipv6():
    """In each /48 a chain of prefixes, one in the other, with a fork of four ways at its end: 14
    steps, the most that there are."""
    for site in range(1 << 13):
        network = ipaddress.IPv6Address(FLOWS["IPv6"].destination) + (site << 80)
        yield from (f"{network}/{length}" for length in range(56, 113, 8))
        for way in range(4):
            yield from (f"{network + (way << 14)}/{length}" for length in (121, 128))


class Attacked(Xrouter):
    """xrouter with routes to these networks, all by one neighbour."""

    def __init__(self, program, work, nets):
        super().__init__(program, work, "busy")
        self.text += f"[tables]\nipv4_groups = {IPV4_GROUPS}\nipv6_nodes = {IPV6_NODES}\n"
        self.text += "".join(map(route, nets))


def route(net):
    via = HOSTS6["wan"] if ":" in net else HOSTS["wan"]
    return f'[[route]]\nto = "{net}"\nvia = "{via}"\n'
