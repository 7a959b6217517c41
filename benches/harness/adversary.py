"""What somebody chooses who wants xrouter's lookups to be slow: routes that make every lookup as
long as the tables allow, and 2^20 destinations, so that the next entry is never in a cache.

20 bits of a destination vary: 13 of one word, and of another the 2 highest and 5 of the others.
Here are routes for the 15 that come first.
"""

import ipaddress

import routes
from network import HOSTS, HOSTS6, ROUTER

# The most that router.toml allows: each /24 with a longer prefix in it needs a group, those of the
# router's own subnets too.
IPV4_GROUPS = 32767

# Where a packet comes from and where the destinations begin; the bits that vary are 0.
FLOWS = {"IPv4": (HOSTS["lan"], "64.0.0.0"), "IPv6": (HOSTS6["lan"], "fd03::")}
# A prefix that covers all destinations.
COVER = {"IPv4": "64.0.0.0/3", "IPv6": "fd03::/32"}
# The scenes: is the table large, and are there many destinations?
PLAIN, WORST = "one flow, small table", "2^20 destinations, large table"
CASES = {PLAIN: (False, False), "one flow, large table": (True, False), WORST: (True, True)}


def attack(work, family, case):
    """The files of routes for each family, and that of destinations, or None for one flow."""
    is_large, is_spread = CASES[case]
    files = routes.one(work) | {family: work / f"attack-{family}-{is_large}"}
    nets = [COVER[family], *(LONG[family]() if is_large else [])]
    files[family].write_text("\n".join(nets) + "\n")
    return files, destinations(work, family) if is_spread else None


def destinations(work, family):
    """Each of the 2^20 once (an odd factor is a permutation of 20 bits); those that follow each
    other are far apart. 15 bits become bits 14 to 28 of the two words, the lowest 5 bits 3 to 7."""
    file, first = work / f"attack-{family}", ipaddress.ip_address(FLOWS[family][1])
    shift = 80 if family == "IPv6" else 16
    with file.open("w") as lines:
        for n in range(1 << 20):
            place = n * 0x9e375 & 0xfffff
            bits = (place << 9 ^ place << 3) & 0x1fffc0f8
            lines.write(f"{first + (bits >> 16 << shift) + (bits & 0xffff)}\n")
    return file


def ipv4():
    """Three lengths in one /24 of each /18: a lookup reads a line of the first table and a line of
    a group, and all of them together are many times a cache of the second level."""
    for n in range(IPV4_GROUPS - len(ROUTER)):
        network = ipaddress.IPv4Address(FLOWS["IPv4"][1]) + (n << 14)
        yield from (f"{network}/{length}" for length in (25, 26 + n % 6, 32))


def ipv6():
    """In each /48 a chain of prefixes, one in the other, with a fork of four ways at its end: 14
    steps, the most that there are."""
    for site in range(1 << 13):
        network = ipaddress.IPv6Address(FLOWS["IPv6"][1]) + (site << 80)
        yield from (f"{network}/{length}" for length in range(56, 113, 8))
        for way in range(4):
            yield from (f"{network + (way << 14)}/{length}" for length in (121, 128))


LONG = {"IPv4": ipv4, "IPv6": ipv6}
