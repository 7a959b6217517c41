"""Medians and ratios. A ratio is the median of the rounds' own ratios: the two trials of a round
stood next to each other, so that what slows the machine down for a while slows both."""

import statistics

# More of steal, or of waiting for a core, and a trial says more about the neighbours.
DISTURBED = 0.01


def disturbed(trial):
    return trial.get("steal", 0) > DISTURBED or trial.get("waited", 0) > DISTURBED


def good(trials):
    """Round -> trial with a figure; without the disturbed ones if half of them is left."""
    figures = {n: trial for n, trial in enumerate(trials) if "reason" not in trial}
    calm = {n: trial for n, trial in figures.items() if not disturbed(trial)}
    return calm if 2 * len(calm) >= len(figures) else figures


def values(trials, key):
    return [trial[key] for trial in good(trials).values()]


def each(combine, *rows):
    """What `combine` makes of the trials of each round that all rows have a figure for."""
    rounds = [good(row) for row in rows]
    return [combine(*(row[n] for row in rounds))
            for n in rounds[0] if all(n in row for row in rounds)]


def ratios(trials, others, key):
    return each(lambda ours, theirs: ours[key] / theirs[key], trials, others)


def added_ns(trials, floor):
    """Nanoseconds that a packet takes beyond what sender and sink take by themselves."""
    return each(lambda ours, cable: 1000 / ours["mpps"] - 1000 / cable["mpps"], trials, floor)


def added_ratios(trials, others, floor):
    return each(lambda ours, theirs, cable: (1 / ours["mpps"] - 1 / cable["mpps"]) /
                (1 / theirs["mpps"] - 1 / cable["mpps"]), trials, others, floor)


def remains(trial):
    """What goes through when far too much comes, of the most that went through in any trial: not of
    the best rate, since a disturbance makes that too low."""
    over = trial["overload"]["mpps"]
    return over / max(over, *(other["mpps"] for other in trial["trials"]))


def summary(numbers, digits=2):
    if not numbers:
        return "-"
    middle = statistics.median(numbers)
    spread = f" ({min(numbers):.{digits}f}..{max(numbers):.{digits}f})" if len(numbers) > 1 else ""
    return f"{middle:.{digits}f}{spread}"


def figure(trials, key, digits=2):
    """The summary, or why there is none."""
    broken = [trial["reason"] for trial in trials if "reason" in trial]
    return f"none: {broken[0]}" if broken else summary(values(trials, key), digits)
