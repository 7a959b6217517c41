"""One trial of each kind: a figure, or the reason why there is none."""

import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from network import HOSTS, MACS, ROUTER, Failed, inside, urgent

SENDER_CORE = 0
TICKS = os.sysconf("SC_CLK_TCK")

# What is sent: from one address to one other.
Traffic = collections.namedtuple("Traffic",
                                 "family kind size flows destinations source destination")


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
    """The generator's options for it."""
    return ["--source-mac", source_mac, "--destination-mac", destination_mac,
            "--source", traffic.source, "--destination", traffic.destination]


class Sink:
    """The sink's process, asked for its counters."""

    def __init__(self, generator, traffic, device, mac, ttl, source_mac):
        words = [generator, "sink", device, "--ttl", ttl, *frame(traffic, source_mac, mac)]
        self.process = subprocess.Popen(inside("wan", *words), text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        if self.process.stdout.readline().strip() != "ready":
            raise Failed(f"the sink did not start: {self.process.stderr.read().strip()}")

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

    def __init__(self, generator, kind, traffic, device, mac):
        words = [generator, kind, device, "--core", SENDER_CORE,
                 *frame(traffic, MACS["lan", device], mac)]
        self.process = urgent("lan", *words, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
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
            raise Failed(f"the sender: {complaint.strip().splitlines()[-1]}")
        self.sent = json.loads(said)["sent"]


def trial(generator, traffic, forwarder, seconds, warm_up, rate=None):
    """Packets per second from sender to sink through the forwarder; None: a cable."""
    if forwarder:
        device, towards = "eth0", MACS["router", "lan0"]
        arrival = "eth0", MACS["wan", "eth0"], forwarder.ttl, MACS["router", "wan0"]
    else:
        device, towards = "direct0", MACS["wan", "direct1"]
        arrival = "direct1", towards, 64, MACS["lan", "direct0"]
    with Sink(generator, traffic, *arrival) as sink:
        with Sender(generator, traffic.kind, traffic, device, towards) as sender:
            time.sleep(warm_up)
            machine = Machine(sender.process.pid, forwarder and forwarder.pid)
            start = sink.read()
            time.sleep(seconds)
            end, machine = sink.read(), machine.since()
        time.sleep(0.05)
        total = sink.read()
    if forwarder:
        forwarder.check()
    wrong = {name: count for name, count in total["wrong"].items() if count}
    if wrong:
        raise Failed("corrupts: " + ", ".join(f"{n} frames' {name}" for name, n in wrong.items()))
    packets = end["received"] - start["received"]
    if not packets:
        raise Failed(f"does not forward: {sender.sent} sent, none of the measured time arrived")
    pps = packets / (end["time"] - start["time"])
    return {"mpps": pps / 1e6, "sent": sender.sent, "received": total["received"],
            "delivered": total["received"] / sender.sent,
            "cpu_ns_per_packet": sum(machine["busy"]) * 1e9 / pps, **machine}


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
