"""The highest rates that a forwarder takes, by trials at this rate and that (RFC 2544, 26.1).

After MLRsearch (draft-ietf-bmwg-mlrsearch): the same trials serve both goals, and the first ones,
when little is known, are short."""

import math

# Per cent that may be lost. RFC 2544 knows the second only, which a single interruption of a
# virtual machine spoils.
GOALS = (0.5, 0)
# A rate is known if one that is too high is no more than this above it.
PRECISION = 0.02
# Packets a second: the generator sends no fewer.
LEAST = 1000
# The sender has reached a rate if it offered this share of it.
REACHED = 0.98
# The share of a trial's time that was stolen, or that its processes waited for a core.
DISTURBED = 0.01
# Trials at the most, and how many of them are half as long.
TRIALS, SHORT = 10, 4


def trials(run, seconds, most=TRIALS):
    """The trials that find the best rates: `run` makes one of a rate (None: as fast as the sender
    can) and a duration. Each gets "rate": what was asked for, or what the sender could."""
    done = [attempt(run, None, seconds / 2)]
    while len(done) < most and (step := next_step(done, seconds)):
        done.append(attempt(run, *step))
    return done


def best(done, goal):
    """Packets a second: the highest rate with no more loss than this share, as far as there was
    none below it with more; 0 if there is none."""
    lower, _ = bounds(done, goal)
    return lower["rate"] if lower else 0


def attempt(run, rate, seconds):
    result = run(rate, seconds)
    if rate and result["loss"] and max(result["steal"], result["waited"]) > DISTURBED:
        # The machine may have lost it: once more, and the better of the two counts.
        result = min(result, run(rate, seconds), key=lambda trial: trial["loss"])
    offered = result["offered_pps"]
    reached = rate is not None and offered >= REACHED * rate
    return {**result, "rate": rate if reached else offered, "seconds": seconds}


def bounds(done, goal):
    """The trial of the highest rate that met the goal, and of the lowest that did not: what is
    above one that did not does not count. If all did, the longest says what the sender can."""
    upper = min((trial for trial in done if trial["loss"] > goal),
                key=lambda trial: trial["rate"], default=None)
    if not upper:
        return max(done, key=lambda trial: (trial["seconds"], trial["rate"])), None
    lower = max((trial for trial in done
                 if trial["loss"] <= goal and trial["rate"] < upper["rate"]),
                key=lambda trial: (trial["rate"], trial["seconds"]), default=None)
    return lower, upper


def next_step(done, seconds):
    """The rate (None: as fast as the sender can) and the duration of the next trial, for the goal of
    which least is known."""
    steps = [step for goal in GOALS if (step := step_for(done, goal / 100, seconds))]
    if not steps:
        return None
    width, rate = max(steps)
    is_short = width and len(done) < SHORT
    return None if rate == math.inf else rate, seconds / 2 if is_short else seconds


def step_for(done, goal, seconds):
    """How wide the open range is and a rate in it; None if the goal is settled."""
    lower, upper = bounds(done, goal)
    if upper and upper["rate"] <= LEAST:
        return None
    if not lower:
        return math.inf, first_guess(done, upper, goal)
    width = upper["rate"] / lower["rate"] - 1 if upper else 0
    if width <= PRECISION:
        # What only a short trial says is tried once more.
        again = lower["rate"] if upper else math.inf
        return None if lower["seconds"] >= seconds else (0, again)
    met = sum(trial["loss"] <= goal for trial in done)
    # Farther with each trial that went well, so that the first that does not is near.
    upwards = lower["rate"] * (1 + PRECISION * 2 ** (2 * met - 1))
    return width, min(upwards, math.sqrt(lower["rate"] * upper["rate"]))


def first_guess(done, upper, goal):
    """Below all that was too much: what came out of it, then less and less."""
    missed = sum(trial["loss"] > goal for trial in done)
    delivered = upper["rate"] * (1 - upper["loss"])
    less = upper["rate"] * max(0.1, 1 - PRECISION * 2 ** missed)
    return max(LEAST, min(delivered, less))
