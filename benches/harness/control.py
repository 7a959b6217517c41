"""What changes while packets are forwarded: the kernel's routes, and the configuration."""

import contextlib
import json
import pathlib
import subprocess
import sys
import threading
import time

import measure
from network import HOSTS, Failed, inside

ROUTES = 1_000_000
LOADER = pathlib.Path(__file__).with_name("loader.py")
# What is changed over and over, and how often in a second.
CHANGED, RATE = 100_000, 100_000
# What may be offered while the configuration changes, of what goes through without loss.
SHARE = 0.8
# A place of documentation (RFC 5737) that no test packet goes to.
UNRELATED = "198.51.100.0/24"


def loader(*words):
    """The loader, in the router's namespace, at the same rank as everything that is not measured."""
    return inside("router", sys.executable, LOADER, *words)


def learn(running):
    """Seconds from the first of a million routes that the kernel is given until all of them are
    forwarded by. "told": until the kernel itself has them."""
    start = time.monotonic()
    done = subprocess.run(loader("add", ROUTES, HOSTS["wan"]), capture_output=True, text=True)
    if done.returncode:
        raise Failed(measure.last_line(done.stderr))
    told = json.loads(done.stdout)["seconds"]
    begun = time.monotonic() - start - told
    while running.pid and learnt(running) < ROUTES:
        time.sleep(0.01)
    # What the loader takes to make its messages does not count.
    return {"told": told, "seconds": time.monotonic() - start - begun if running.pid else told}


def learnt(running):
    return json.loads(running.ask("kernel").stdout)[0]["routes"]


def churn(generator, traffic, running, seconds, warm_up, rate):
    """Loss and latency of packets on a route that nobody touches, at `rate` a second: in quiet, and
    while a hundred thousand other routes change a second. "differences": what the router has
    otherwise than the kernel in the end."""
    quiet = measure.trial(generator, traffic, running, seconds, warm_up, rate)
    words = loader("change", CHANGED, HOSTS["wan"], HOSTS["lan"], RATE, seconds + 2 * warm_up)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as work:
        time.sleep(warm_up)
        during = measure.trial(generator, traffic, running, seconds, warm_up, rate)
        said, complaint = work.communicate(timeout=30)
    if work.returncode:
        raise Failed(measure.last_line(complaint))
    made = json.loads(said)
    verified = running.ask("routes", "--verify")
    return {**during, "quiet": quiet, "changes": made["changes"] / made["seconds"] / 1e3,
            "differences": len(json.loads(verified.stdout))}


def reload(generator, traffic, running, seconds, warm_up):
    """Loss at 80 % of what goes through without any, while a route that no packet takes comes and
    goes by way of the configuration."""
    best = measure.best_rate(generator, traffic, running, seconds, warm_up)["loss_0"]
    with reloading(running) as reloads:
        result = measure.trial(generator, traffic, running, seconds, warm_up, SHARE * best * 1e6)
    if not reloads:
        raise Failed("it did not reload once")
    return {**result, "reloads": len(reloads), "lost": result["loss"] * result["sent"]}


@contextlib.contextmanager
def reloading(running):
    """Reload until it ends. Yields a list, of one entry for each that was done."""
    over, reloads, before = threading.Event(), [], running.config.read_text()
    more = before + f'[[route]]\nto = "{UNRELATED}"\nvia = "{HOSTS["wan"]}"\n'

    def work():
        while not over.wait(0.1):
            running.config.write_text(more if len(reloads) % 2 == 0 else before)
            if running.reload().returncode:
                return
            reloads.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield reloads
    finally:
        over.set()
        thread.join()
        running.config.write_text(before)
