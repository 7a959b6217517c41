"""One trial of each kind: a figure, or the reason why there is none."""

import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import search
from network import HOSTS, MACS, ROUTER, Failed, inside, urgent

SENDER_CORE = 0
TICKS = os.sysconf("SC_CLK_TCK")

# What is sent. family: "IPv4" or "IPv6"; kind: "live" frames, or packets of a "socket"; size: octets
# of a frame with its check sequence, or "imix"; destinations: None, or a file of addresses, one a
# line, that are taken in turn.
Traffic = collections.namedtuple("Traffic",
                                 "family kind size flows destinations source destination")
# A frame's check sequence, which no veth has, and the shortest frames that hold the stamp.
FCS, LEAST = 4, {"IPv4": 60, "IPv6": 74}


class Machine:
    """What the processors did between two moments, and whether these processes had their share."""

    def __init__(self, *pids):
        self.pids = [pid for pid in pids if pid]
        self.before = self.read()

    def read(self):
        cpus = [list(map(int, line.split()[1:9]))
                for line in pathlib.Path("/proc/stat").read_text().splitlines()
                if re.match(r"cpu\d", line)]
        return time.monotonic(), cpus, sum(map(waited, self.pids))

    def since(self):
        """Cores' worth of work on each core; share of steal; share of the time that one of the
        processes could have run and another task had its core."""
        (start, before, waited_before), (end, after, waited_now) = self.before, self.read()
        deltas = [[now - then for now, then in zip(*cpus)] for cpus in zip(after, before)]
        total = sum(map(sum, deltas)) or 1
        # user nice system idle iowait irq softirq steal
        busy = [round((sum(cpu) - cpu[3] - cpu[4] - cpu[7]) / (sum(cpu) or 1), 3) for cpu in deltas]
        return {"busy": busy, "steal": sum(cpu[7] for cpu in deltas) / total,
                "waited": (waited_now - waited_before) / (end - start)}


def waited(pid):
    """Seconds that the threads of a process have waited for a core."""
    files = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[1]) for file in files) / 1e9


def frame(traffic, source_mac, destination_mac):
    """The generator's options for a frame of it, as it is sent or as it arrives."""
    size = ["--imix"]
    if traffic.size != "imix":
        size = ["--size", max(traffic.size - FCS, LEAST[traffic.family])]
    return ["--source-mac", source_mac, "--destination-mac", destination_mac,
            "--source", traffic.source, "--destination", traffic.destination, *size]


def stream(traffic, rate):
    """The generator's options for how frames follow each other."""
    file = ["--destinations", traffic.destinations] if traffic.destinations else []
    return ["--flows", traffic.flows, "--rate", round(rate or 0), *file]


class Sink:
    """The sink's process, asked for its counters."""

    def __init__(self, generator, traffic, device, mac, ttl, source_mac):
        words = [generator, "sink", device, "--ttl", ttl, *frame(traffic, source_mac, mac)]
        self.process = subprocess.Popen(inside("wan", *words), text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        expect_ready(self.process, "the sink")

    def read(self):
        self.process.stdin.write("\n")
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)


class Sender:
    """The sender's process: sends while the context lasts, then says how much."""

    def __init__(self, generator, traffic, device, mac, rate):
        words = [generator, traffic.kind, device, "--core", SENDER_CORE,
                 *frame(traffic, MACS["lan", device], mac), *stream(traffic, rate)]
        self.process = urgent("lan", *words, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        expect_ready(self.process, "the sender")
        self.sent = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            said, complaint = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Failed("the sender did not end") from None
        if self.process.returncode:
            raise Failed(f"the sender: {last_line(complaint)}")
        self.sent = json.loads(said)["sent"]


def expect_ready(process, name):
    if process.stdout.readline().strip() != "ready":
        raise Failed(f"{name} did not start: {last_line(process.stderr.read())}")


def last_line(text):
    return text.strip().rpartition("\n")[2]


def trial(generator, traffic, forwarder, seconds, warm_up, rate=None):
    """What comes through the forwarder (None: a cable) of packets that are sent at this rate a
    second; None: as fast as the sender can.

    offered_pps, mpps, gbps are of the measured seconds; sent, received, loss (a share), reordered,
    duplicated of all that was sent after the warm-up; latency_us has p50, p99, p999 and max. A
    sender at a rate spins, so cpu_ns_per_packet says something at full rate only."""
    if forwarder:
        device, towards = "eth0", MACS["router", "lan0"]
        arrival = "eth0", MACS["wan", "eth0"], forwarder.ttl, MACS["router", "wan0"]
    else:
        device, towards = "direct0", MACS["wan", "direct1"]
        arrival = "direct1", towards, 64, MACS["lan", "direct0"]
    with Sink(generator, traffic, *arrival) as sink:
        with Sender(generator, traffic, device, towards, rate) as sender:
            time.sleep(warm_up)
            machine = Machine(sender.process.pid, forwarder and forwarder.pid)
            start = sink.read()
            time.sleep(seconds)
            end, machine = sink.read(), machine.since()
        # What is still in a queue.
        time.sleep(0.05)
        last = sink.read()
    if forwarder:
        forwarder.check()
    return figures(start, end, last, sender.sent) | cost(start, end, machine) | machine


def figures(start, end, last, sent):
    """What the sink counted between two moments, and what was lost from the first on.

    The sink knows of each frame whether it came, so what was lost before the start does not count;
    what was sent last and never came is seen by the sender's number only."""
    wrong = {name: count for name, count in last["wrong"].items() if count}
    if wrong:
        raise Failed("corrupts: " + ", ".join(f"{n} frames' {name}" for name, n in wrong.items()))
    seconds, received = end["time"] - start["time"], end["received"] - start["received"]
    if not received:
        raise Failed(f"does not forward: {sent} sent, none of the measured time arrived")
    offered = sent - start["next"]
    lost = last["lost"] - start["lost"] + sent - last["next"]
    return {"offered_pps": (end["next"] - start["next"]) / seconds, "sent": offered,
            "received": last["received"] - start["received"], "loss": max(0, lost) / offered,
            "mpps": received / seconds / 1e6,
            "gbps": (end["octets"] - start["octets"]) * 8 / seconds / 1e9,
            **{name: last[name] - start[name] for name in ("reordered", "duplicated")},
            "latency_us": percentiles(difference(end["latency_ns"], start["latency_ns"]))}


def cost(start, end, machine):
    """What a packet costs on all cores together, with whatever else they did."""
    busy = sum(machine["busy"])
    pps = (end["received"] - start["received"]) / (end["time"] - start["time"])
    return {"cpu_ns_per_packet": busy * 1e9 / pps, "mpps_per_core": pps / 1e6 / (busy or 1)}


def difference(histogram, before):
    """How often each value came since; of pairs of a value and a count."""
    counts = collections.Counter(dict(map(tuple, histogram)))
    counts.subtract(dict(map(tuple, before)))
    return sorted((value, count) for value, count in counts.items() if count > 0)


def percentiles(histogram):
    """Microseconds, of a histogram of nanoseconds: within the width of its buckets."""
    total, wanted = sum(count for _, count in histogram), {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    result, seen, shares = {}, 0, list(wanted.items())
    for value, count in histogram:
        seen += count
        while shares and seen >= shares[0][1] * total:
            result[shares.pop(0)[0]] = value / 1000
    return result | {"max": histogram[-1][0] / 1000}


def best_rate(generator, traffic, forwarder, seconds, warm_up):
    """Mpps: the highest rates with at most half a per cent of loss and with none."""
    def run(rate, duration):
        return trial(generator, traffic, forwarder, duration, warm_up, rate)

    trials = search.trials(run, seconds)
    rates = {f"loss_{share}": search.best(trials, share / 100) / 1e6 for share in search.GOALS}
    if not all(rates[f"loss_{share}"] for share in search.GOALS if share):
        raise Failed("loses too much at any rate")
    return {**rates, "trials": trials}


# How many times the best rate is too much, and at what per cent of it latency is measured.
OVERLOAD, LOADS = 5, ("10", "50", "90")


def overload(generator, traffic, forwarder, seconds, warm_up, best):
    """What remains of the best rate (Mpps) if five times as much comes, or as much of that as the
    sender can: so many "times"."""
    result = trial(generator, traffic, forwarder, seconds, warm_up, OVERLOAD * best * 1e6)
    return {"times": result["offered_pps"] / best / 1e6, "share": result["mpps"] / best, **result}


def latency(generator, traffic, forwarder, seconds, warm_up, best):
    """A trial at each of these loads, in per cent of the best rate (Mpps)."""
    return {load: trial(generator, traffic, forwarder, seconds, warm_up, best * int(load) * 1e4)
            for load in LOADS}


PATHS = {
    "host to router": ("router", ROUTER["lan0"], []),
    "router to host": ("router", ROUTER["lan0"], ["-R"]),
    "host to host": ("wan", HOSTS["wan"], []),
}


def tcp(path, seconds):
    """Gbit/s of one TCP connection, as its receiver counts them."""
    role, address, options = PATHS[path]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(inside(role, "iperf3", "-s", "-1", "-B", address), **quiet)
    try:
        wait_for_server(role, server)
        words = ["iperf3", "-c", address, "-t", seconds, "-J", "--connect-timeout", 3000, *options]
        machine = Machine()
        done = subprocess.run(inside("lan", *words), capture_output=True, text=True,
                              timeout=seconds + 10)
        machine = machine.since()
    except subprocess.TimeoutExpired:
        raise Failed("iperf3 hangs: TCP does not get through") from None
    finally:
        server.kill()
        server.wait()
    report = json.loads(done.stdout or "{}")
    if "error" in report or "end" not in report:
        raise Failed(f"iperf3: {report.get('error', 'no report')}")
    bits = report["end"]["sum_received"]["bits_per_second"]
    if not bits:
        raise Failed("iperf3 connects, and nothing arrives")
    resent = report["end"]["sum_sent"].get("retransmits")
    return {"gbps": bits / 1e9, "retransmits": resent, **machine}


def wait_for_server(role, server):
    deadline = time.monotonic() + 5
    listens = inside(role, "ss", "-Hltn", "sport = :5201")
    while not subprocess.run(listens, capture_output=True, text=True).stdout.strip():
        if server.poll() is not None or time.monotonic() > deadline:
            raise Failed("iperf3 -s does not listen")
        time.sleep(0.02)


# Who listens at which address, and who connects.
CONNECTIONS = {
    "host to router": ("router", ROUTER["lan0"], "lan"),
    "router to host": ("lan", HOSTS["lan"], "router"),
    "host to host": ("wan", HOSTS["wan"], "lan"),
}


def connections(generator, path, seconds):
    """Connections of TCP a second: opened, one octet, closed; eight at a time."""
    role, address, client = CONNECTIONS[path]
    end = f"{address}:5202"
    server = subprocess.Popen(inside(role, generator, "accept", end), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        expect_ready(server, "the server")
        words = inside(client, generator, "connect", end, "--seconds", seconds)
        machine = Machine()
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 10)
        machine = machine.since()
    finally:
        server.kill()
        server.communicate()
    if done.returncode:
        raise Failed(f"the client: {last_line(done.stderr)}")
    counted = json.loads(done.stdout)
    if not counted["connections"]:
        raise Failed(f"no connection comes about: {counted['failed']} failed")
    return {**counted, **machine}


def ping(count):
    """Round-trip times in microseconds from host to host; all of them have to come back."""
    words = inside("lan", "ping", "-n", "-i", "0.01", "-c", count, "-W", "1", HOSTS["wan"])
    machine = Machine()
    done = subprocess.run(words, capture_output=True, text=True)
    times = sorted(float(ms) * 1000 for ms in re.findall(r"time=([\d.]+) ms", done.stdout))
    if len(times) < count * 0.99:
        raise Failed(f"{count - len(times)} of {count} pings got no answer")
    return {"median_us": times[len(times) // 2], "p99_us": times[int(len(times) * 0.99)],
            "lost": count - len(times), **machine.since()}


def idle(pid, seconds):
    """Share of one core that a process takes when there is nothing to do, and of each thread."""
    time.sleep(1)
    start, before = time.monotonic(), processor_time(pid)
    time.sleep(seconds)
    elapsed, after = time.monotonic() - start, processor_time(pid)
    shares = {name: (after[name] - then) / elapsed
              for name, then in before.items() if name in after}
    return {"share": shares.pop("process"), "threads": shares}


def processor_time(pid):
    """Seconds of processor time of the process and of each of its threads."""
    times = {}
    files = [("process", f"/proc/{pid}/stat")]
    files += [(file.parent.name, file) for file in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
    for name, file in files:
        head, fields = pathlib.Path(file).read_text().rsplit(")", 1)
        user, system = fields.split()[11:13]
        if name != "process":
            name = f"{head.split('(', 1)[1]} {name}"
        times[name] = (int(user) + int(system)) / TICKS
    return times
