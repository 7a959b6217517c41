"""The parts of the comparison: what is tried in each, how often and for how long."""

import collections

import adversary
import control
import forwarders
import measure
import network
from forwarders import Adaptive, FastPath, Kernel, Xrouter
from network import HOSTS, HOSTS6, Failed

FLOOR = "(none: a cable)"

# One trial: a row of the report, and how to get its figure from the forwarder that runs.
# `forwarder` is a class, or None for the cable; `seconds` is how long it takes, about.
Job = collections.namedtuple("Job", "scene forwarder routes family run seconds")
# What forwarders are compared with: the same traffic, the same routes.
Scene = collections.namedtuple("Scene", "name traffic routes forwarders")

# What it takes to start and to stop one of them, about: with one route, with a table of routes.
START_S, LOAD_S = 1.5, 15
LIVE, SOCKET = "live", "socket"
ENDS = {"IPv4": (HOSTS["lan"], "10.3.0.2"), "IPv6": (HOSTS6["lan"], "fd03::2")}


def traffic(family="IPv4", kind=LIVE, size=64, flows=1, destinations=None):
    return measure.Traffic(family, kind, size, flows, destinations, *ENDS[family])


class Part:
    """`key` is the figure of a trial, in `unit`, told with so many `digits` behind the point."""

    name, title, key, unit, digits = "", "", "mpps", "Mpps", 2
    # Rounds and seconds of a trial, and those of --quick.
    rounds, seconds = (7, 3), (2, 1)

    def __init__(self, bench):
        self.bench, self.programs = bench, bench.programs
        self.rounds, self.seconds = self.rounds[bench.is_quick], self.seconds[bench.is_quick]
        self.warm_up = 0.3 if bench.is_quick else 0.5

    def prepare(self):
        """What the fresh network lacks: live frames, and those of an XDP program, can only be sent to
        a veth with NAPI. The sink has it anyway; here it is there before the forwarder looks."""
        network.gro(*network.CARDS)

    def job(self, scene, forwarder, run, seconds, routes=None, family="IPv4"):
        start = START_S if routes is None else LOAD_S
        return Job(scene, forwarder, routes or self.bench.one_route, family, run, seconds + start)


class Rates(Part):
    """The greatest rate of each forwarder in some scenes."""

    def jobs(self):
        return [self.rate(scene, forwarder) for scene in self.scenes()
                for forwarder in (None, *self.bench.installed(scene.forwarders))
                if not forwarder or scene.traffic.family in forwarder.families]

    def rate(self, scene, forwarder):
        def run(running):
            return measure.trial(self.programs.generator, scene.traffic, running, self.seconds,
                                 self.warm_up)

        return self.job(scene.name, forwarder, run, self.seconds + self.warm_up, scene.routes,
                        scene.traffic.family)

    def scene(self, name, peers=forwarders.PEERS, routes=None, **options):
        return Scene(name, traffic(**options), routes, peers)

    def everybody(self):
        return forwarders.PEERS if self.bench.is_quick else forwarders.ALL


class Forwarding(Rates):
    name, title = "forwarding", "Forwarding, 64-byte UDP, one flow, one route"

    def scenes(self):
        return [self.scene("live frames", self.everybody()),
                self.scene("packet socket", self.everybody(), kind=SOCKET)]


class Ipv6(Rates):
    name, title = "ipv6", "Forwarding, IPv6, shortest UDP, one flow, one route, live frames"

    def scenes(self):
        return [self.scene("IPv6", self.everybody(), family="IPv6")]


class Sizes(Rates):
    name, title = "sizes", "Forwarding, other sizes and more flows, live frames"
    rounds = (3, 1)

    def scenes(self):
        sizes = [self.scene(f"{size} octets", size=size) for size in (512, 1518)]
        return [*sizes, self.scene("IMIX", size="imix"), self.scene("64 octets, 1000 flows",
                                                                    flows=1000)]


class Tables(Rates):
    name, title = "table", "Forwarding with a table of routes, 64-byte UDP, live frames"
    rounds = (3, 1)

    def scenes(self):
        """Of each table two, next to each other."""
        return [scene for table in self.bench.tables for scene in (
            self.scene(table.without, forwarders.ROUTERS, family=table.family),
            self.scene(table.name, forwarders.ROUTERS, table.routes, family=table.family,
                       destinations=table.destinations))]


class Load(Part):
    """How much goes through without loss, how much of it remains when five times as much comes, and
    how long packets take at some loads."""

    name, key, unit = "load", "loss_0.5", "Mpps"
    title = "Rates without loss, overload, latency; 64-byte UDP, one flow, live frames"
    rounds, seconds = (3, 1), (1, 0.5)
    # Trials of one forwarder: a search, an overload, three loads.
    trials = 20

    def jobs(self):
        return [self.job("load", forwarder, self.run, self.trials * (self.seconds + 0.7))
                for forwarder in self.bench.installed(forwarders.PEERS)]

    def run(self, running):
        common = self.programs.generator, traffic(), running, self.seconds, self.warm_up
        best = measure.best_rate(*common)
        return {**best, "overload": measure.overload(*common, best["loss_0.5"]),
                "latency": measure.latency(*common, best["loss_0.5"])}


class Adversary(Part):
    name, title = "adversary", "Adversarial lookups (R31), 64-byte packets, live frames"
    rounds = (3, 1)

    def jobs(self):
        return [self.attack(family, case, forwarder) for family in adversary.FLOWS
                for case in adversary.CASES for forwarder in (Xrouter, FastPath)]

    def attack(self, family, case, forwarder):
        nets, destinations = adversary.attack(self.bench.work, family, case)
        packets = traffic(family=family, destinations=destinations)
        packets = packets._replace(**dict(zip(("source", "destination"), adversary.FLOWS[family])))

        def run(running):
            return measure.trial(self.programs.generator, packets, running, self.seconds,
                                 self.warm_up)

        return self.job(f"{family}, {case}", forwarder, run, self.seconds + self.warm_up, nets,
                        family)


class Learn(Part):
    name, key, unit = "learn", "seconds", "s"
    title = "A million routes of the kernel, until they are forwarded by"
    rounds = (3, 1)

    def jobs(self):
        return [self.job("a million routes", forwarder, control.learn, LOAD_S)
                for forwarder in (Kernel, FastPath)]


class Churn(Part):
    name, key, unit, digits = "churn", "changes", "thousand changes/s", 0
    title = "Packets on a route that nobody touches, while the kernel's other routes change"
    rounds, seconds = (1, 1), (60, 5)
    # A second: what all forwarders can do.
    rate = 100_000

    def jobs(self):
        def run(running):
            return control.churn(self.programs.generator, traffic(), running, self.seconds,
                                 self.warm_up, self.rate)

        return [self.job("churn", forwarder, run, 2 * self.seconds + 5)
                for forwarder in (Xrouter, FastPath)]


class Reload(Part):
    name, key, unit, digits = "reload", "lost", "packets lost", 0
    title = "Packets at 80 % of the best rate, while the configuration changes elsewhere"
    rounds, seconds = (3, 1), (5, 1)

    def jobs(self):
        def run(running):
            return control.reload(self.programs.generator, traffic(), running, self.seconds,
                                  self.warm_up)

        return [self.job("reload", forwarder, run, 20 * self.seconds)
                for forwarder in (Xrouter, FastPath)]


class Tcp(Part):
    name, key, unit = "tcp", "gbps", "Gbit/s"
    title = "TCP, one connection, iperf3, Gbit/s, offloads on"
    rounds = (3, 2)

    def prepare(self):
        network.offloads(True)

    def jobs(self):
        return [self.job(path, forwarder, lambda running, path=path: self.run(path),
                         self.seconds + 1)
                for path in measure.PATHS for forwarder in (Kernel, Adaptive, FastPath)]

    def run(self, path):
        return measure.tcp(path, self.seconds)


class TcpPlain(Tcp):
    """As packets are between real cards; and hosts with NAPI, as theirs have."""

    name, title = "tcp-plain", "TCP, one connection, iperf3, Gbit/s, offloads off"

    def prepare(self):
        network.offloads(False)
        network.napi(self.programs.xdp_fib)


class TcpReceived(Tcp):
    """The same, but that hosts put segments together when they receive, as they do with real
    cards."""

    name, title = "tcp-gro", "TCP, one connection, iperf3, Gbit/s, only GRO on, at the hosts"

    def prepare(self):
        network.offloads(False)
        network.gro(*network.CARDS[:2])


class Connections(TcpPlain):
    name, key, unit, digits = "connections", "per_second", "per second", 0
    title = "TCP, connections a second, eight at a time, offloads off"

    def run(self, path):
        return measure.connections(self.programs.generator, path, self.seconds)


class Ping(Part):
    name, key, unit, digits = "ping", "median_us", "us", 0
    title = "Ping from host to host, 100 a second, round trip in microseconds"
    rounds, seconds = (3, 3), (5, 1)

    def prepare(self):
        network.napi(self.programs.xdp_fib)

    def jobs(self):
        def run(_):
            return measure.ping(100 * self.seconds)

        return [self.job("ping", forwarder, run, self.seconds)
                for forwarder in (Kernel, Adaptive, Xrouter, FastPath)]


class Idle(Ping):
    name, key, unit, digits = "idle", "share", "of a core", 3
    title = 'Idle, poll = "adaptive", share of one core'
    rounds, seconds = (1, 1), (10, 10)

    def jobs(self):
        def run(running):
            return {"seconds": self.seconds, **measure.idle(running.pid, self.seconds)}

        return [self.job("idle", Adaptive, run, self.seconds)]


class Smoke(Part):
    """Does everything forward? A thousand packets through each, slowly, and none may be missing;
    and one short trial of the greatest rate."""

    name, title, digits = "smoke", "Smoke test: each forwarder, 1000 packets", 4
    rounds, seconds = (1, 1), (0.5, 0.5)
    packets = 1000

    def jobs(self):
        each = [self.job(f"{family}, 1000 packets", forwarder, self.pass_unharmed(family), 1,
                         family=family)
                for family in network.FAMILIES
                for forwarder in self.bench.installed(forwarders.EACH)
                if family in forwarder.families]
        return [*each, self.job("64 octets, live frames", Xrouter, self.rate, 1)]

    def pass_unharmed(self, family):
        def run(running):
            result = measure.trial(self.programs.generator, traffic(family=family), running, 1, 0.1,
                                   rate=self.packets)
            if result["loss"] or result["duplicated"]:
                raise Failed(f"of {result['sent']} packets {result['received']} came, "
                             f"{result['duplicated']} of them twice")
            return result

        return run

    def rate(self, running):
        return measure.trial(self.programs.generator, traffic(), running, self.seconds, 0.2)


ALL = (Forwarding, Ipv6, Sizes, Tables, Load, Adversary, Learn, Churn, Reload, TcpPlain, TcpReceived, Tcp, Connections,
       Ping, Idle)
