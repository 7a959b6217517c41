"""What xrouter is meant to reach, against what was measured: misses are published like hits."""

import collections
import statistics

import measure
from adversary import FLOWS, PLAIN, WORST
from figures import added_ratios, each, ratios, remains
from forwarders import BareLoop, FastPath, Kernel, L3fwd, XdpFib, Xrouter
from network import FAMILIES
from parts import FLOOR
from routes import WITHOUT

HELD, MISSED, OPEN = "held", "MISSED", "not measured"
AT_LEAST, AT_MOST = ">=", "<="
PLAIN_TCP = {"host to router": 0.7, "router to host": 0.7, "host to host": 1.1}


class Goal(collections.namedtuple("Goal", "text relation wanted measured")):
    """`measured`: a number of each round."""

    def verdict(self):
        if not self.measured:
            return OPEN
        middle = statistics.median(self.measured)
        reached = middle >= self.wanted if self.relation == AT_LEAST else middle <= self.wanted
        return HELD if reached else MISSED


def all_of(results):
    """Part -> rows in, goals out; a part that did not run has no rows."""
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    rows |= {part: collections.defaultdict(list, measured) for part, measured in results.items()}
    return [*fast(rows), *workers(rows), *ipv6(rows), *table(rows), *load(rows), *tcp(rows),
            *withstood(rows), *control(rows)]


def rates(rows, part, scene):
    """The trials of a forwarder, or of the cable, in this scene."""
    return lambda forwarder: rows[part][scene, forwarder.name if forwarder else FLOOR]


def fast(rows):
    of = rates(rows, "forwarding", "live frames")
    for peer, wanted in ((Kernel, 3.5), (L3fwd, 4.0), (XdpFib, 1.3)):
        yield Goal(f"fast path: rate, of {peer.name}", AT_LEAST, wanted,
                   ratios(of(FastPath), of(peer), "mpps"))
    for peer, wanted in ((Kernel, 1 / 8), (L3fwd, 1 / 10)):
        yield Goal(f"fast path: time added to the floor, of {peer.name}", AT_MOST, wanted,
                   added_ratios(of(FastPath), of(peer), of(None)))


def workers(rows):
    of = rates(rows, "forwarding", "live frames")
    for peer, wanted in ((BareLoop, 0.95), (L3fwd, 1.0)):
        yield Goal(f"fast path off: rate, of {peer.name}", AT_LEAST, wanted,
                   ratios(of(Xrouter), of(peer), "mpps"))


def ipv6(rows):
    of = rates(rows, "ipv6", "IPv6")
    yield Goal("IPv6, fast path: rate, of the kernel", AT_LEAST, 3.5,
               ratios(of(FastPath), of(Kernel), "mpps"))
    yield Goal("IPv6, fast path: time added to the floor, of the kernel", AT_MOST, 1 / 8,
               added_ratios(of(FastPath), of(Kernel), of(None)))


def table(rows):
    scenes = {scene: trials for (scene, name), trials in rows["table"].items()
              if name == FastPath.name}
    for family in FAMILIES:
        one = scenes.get(f"{family}, {WITHOUT}", [])
        full = next((trials for scene, trials in scenes.items()
                     if scene.startswith(family) and not scene.endswith(WITHOUT)), [])
        yield Goal(f"{family}, fast path: table and random destinations, of one route", AT_LEAST,
                   0.6, ratios(full, one, "mpps"))


def load(rows):
    for forwarder in (Xrouter, FastPath):
        yield Goal(f"{forwarder.name}: when 5 times as much comes, of the most", AT_LEAST, 0.9,
                   each(remains, rows["load"]["load", forwarder.name]))
    kernel = rows["load"]["load", Kernel.name]
    for forwarder in (Xrouter, FastPath):
        yield Goal(f"{forwarder.name}: p99 at 10 % load, of the kernel", AT_MOST, 1.0,
                   each(lambda ours, theirs: p99(ours) / p99(theirs),
                        rows["load"]["load", forwarder.name], kernel))


def p99(trial):
    return trial["latency"][measure.LOADS[0]]["latency_us"]["p99"]


def tcp(rows):
    for path, wanted in PLAIN_TCP.items():
        of = rates(rows, "tcp-plain", path)
        yield Goal(f"TCP, offloads off, {path}: of the kernel", AT_LEAST, wanted,
                   ratios(of(FastPath), of(Kernel), "gbps"))


def withstood(rows):
    """R31: what worst-case lookups leave of the rate of one flow."""
    for family in FLOWS:
        for forwarder in (Xrouter, FastPath):
            worst, plain = (rows["adversary"][f"{family}, {case}", forwarder.name]
                            for case in (WORST, PLAIN))
            yield Goal(f"R31, {family}, {forwarder.name}: worst destinations, of one flow",
                       AT_LEAST, 0.5, ratios(worst, plain, "mpps"))


def control(rows):
    of = rates(rows, "learn", "a million routes")
    yield Goal("a million routes of the kernel: time, of the kernel's own", AT_MOST, 1.2,
               ratios(of(FastPath), of(Kernel), "seconds"))
    for forwarder in (Xrouter, FastPath):
        trials = rows["churn"]["churn", forwarder.name]
        yield Goal(f"{forwarder.name}: packets lost while other routes change", AT_MOST, 0,
                   each(lambda trial: trial["loss"] * trial["sent"], trials))
        yield Goal(f"{forwarder.name}: packets lost while it reloads", AT_MOST, 0,
                   each(lambda trial: trial["lost"], rows["reload"]["reload", forwarder.name]))
