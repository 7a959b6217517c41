"""The routes of a trial, a file of prefixes for each family, and destinations drawn from them.

All routes lead to the host of the wan, so that the sink can check every frame."""

import random
import socket

from network import FAR, Failed

SOCKETS = {"IPv4": socket.AF_INET, "IPv6": socket.AF_INET6}
# The harness' own networks: a table may have them too.
OURS = ("10.", "fd")
# As many as the caches and the TLB can be tried with.
DESTINATIONS = 1 << 20
# What a table is compared with.
WITHOUT = "one route, one destination"


def one(work):
    """The file of each family, with the one route to the network behind the wan."""
    files = {family: work / f"one-{family}" for family in FAR}
    for family, file in files.items():
        file.write_text(FAR[family] + "\n")
    return files


class Table:
    """The routes of a file whose lines begin with a prefix, and destinations that they cover."""

    def __init__(self, file, work, destinations=DESTINATIONS):
        prefixes = [line.split()[0] for line in file.read_text().splitlines()
                    if "/" in line and not line.startswith(("#", *OURS))]
        if not prefixes:
            raise Failed(f"{file} has no prefixes: each line begins with one, as 192.0.2.0/24")
        self.count, self.family = len(prefixes), "IPv6" if ":" in prefixes[0] else "IPv4"
        self.name = f"{self.family}, {self.count:,} routes, random destinations"
        self.without = f"{self.family}, {WITHOUT}"
        self.routes = one(work) | {self.family: work / f"table-{self.family}"}
        self.routes[self.family].write_text("\n".join(prefixes) + "\n")
        self.destinations = work / f"destinations-{self.family}"
        self.destinations.write_text("\n".join(draw(prefixes, self.family, destinations)) + "\n")


def draw(prefixes, family, count):
    """A prefix by chance, and an address in it by chance: so the long prefixes are met too."""
    chance, sort = random.Random(1), SOCKETS[family]
    drawn = []
    while len(drawn) < count:
        network, length = chance.choice(prefixes).split("/")
        octets = socket.inet_pton(sort, network)
        free = 8 * len(octets) - int(length)
        number = int.from_bytes(octets, "big") | (chance.getrandbits(free) if free else 0)
        address = number.to_bytes(len(octets), "big")
        if is_sendable(address):
            drawn.append(socket.inet_ntop(sort, address))
    return drawn


def is_sendable(address):
    """To one host, and not to a network of the harness: a default route covers those too."""
    if len(address) == 16:
        return address[0] >> 5 == 1
    return 0 < address[0] < 224 and address[0] not in (10, 127)
