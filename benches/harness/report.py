"""Medians, ratios and tables. A ratio is the median of the rounds' own ratios: the two trials of a
round stood next to each other, so that what slows the machine down for a while slows both."""

import statistics

# More of steal, or of waiting for a core, and a trial says more about the neighbours.
DISTURBED = 0.01

# R31: what worst-case lookups may leave of the rate of one flow with a small table.
WITHSTANDS = 0.50

# The sender, on a cable, has to be this much faster than the fastest forwarder.
HEADROOM = 1.5


def disturbed(trial):
    return trial.get("steal", 0) > DISTURBED or trial.get("waited", 0) > DISTURBED


def good(trials):
    """Round -> trial with a figure; without the disturbed ones if half of them is left."""
    figures = {n: trial for n, trial in enumerate(trials) if "reason" not in trial}
    calm = {n: trial for n, trial in figures.items() if not disturbed(trial)}
    return calm if 2 * len(calm) >= len(figures) else figures


def values(trials, key):
    return [trial[key] for trial in good(trials).values()]


def ratios(trials, others, key):
    ours, theirs = good(trials), good(others)
    return [ours[n][key] / theirs[n][key] for n in ours if n in theirs]


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


class Table:
    def __init__(self, title, *columns):
        self.title, self.rows = title, [columns]

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def text(self):
        widths = [max(map(len, column)) for column in zip(*self.rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                 for row in self.rows]
        return "\n".join([self.title, *("  " + line for line in lines)]) + "\n"

    def markdown(self):
        head, *rows = ["| " + " | ".join(row) + " |" for row in self.rows]
        rule = "|" + " --- |" * len(self.rows[0])
        return "\n".join([f"**{self.title}**", "", head, rule, *rows]) + "\n"


def forwarding(results):
    table = Table("Forwarding, 64-byte UDP, one flow, veth, copy mode",
                  "sender", "forwarder", "Mpps", "of the bare loop", "of the kernel",
                  "Mpps per busy core", "disturbed")
    for sender, by_name in results.items():
        bare, kernel = by_name.get("bare AF_XDP loop", []), by_name.get("kernel", [])
        for name, trials in by_name.items():
            table.add(sender, name, figure(trials, "mpps"), summary(ratios(trials, bare, "mpps")),
                      summary(ratios(trials, kernel, "mpps")),
                      summary(values(trials, "mpps_per_core")),
                      f"{sum(map(disturbed, trials))} of {len(trials)}")
    return table


def adversary(results):
    table = Table("Adversarial lookups (R31), 64-byte packets, live frames, xrouter",
                  "to", "case", "Mpps", "of one flow, small table", "disturbed")
    for flow, by_case in results.items():
        (_, plain), *_ = by_case.items()
        for case, trials in by_case.items():
            table.add(flow, case, figure(trials, "mpps"), summary(ratios(trials, plain, "mpps")),
                      f"{sum(map(disturbed, trials))} of {len(trials)}")
    return table


def withstood(results):
    """The bar of R31, against what was measured."""
    lines = []
    for flow, by_case in results.items():
        plain, *_, worst = by_case.values()
        shares = ratios(worst, plain, "mpps")
        if shares:
            word = "held" if statistics.median(shares) >= WITHSTANDS else "MISSED"
            lines.append(f"R31, at least {WITHSTANDS:.2f} of one flow's rate with the worst "
                         f"destinations: {word} for {flow}: {summary(shares)}\n")
    return "".join(lines)


def tcp(results):
    table = Table("TCP, one connection, iperf3, Gbit/s", "offloads", "path", "kernel", "xrouter",
                  "of the kernel")
    for offloads, paths in results.items():
        for path, by_name in paths.items():
            kernel, ours = by_name["kernel"], by_name["xrouter"]
            table.add(offloads, path, figure(kernel, "gbps"), figure(ours, "gbps"),
                      summary(ratios(ours, kernel, "gbps")))
    return table


def ping(results):
    table = Table("Ping from host to host, 100 a second, round trip in microseconds",
                  "forwarder", "median", "99th percentile", "of the kernel")
    for name, trials in results.items():
        table.add(name, figure(trials, "median_us", 0), summary(values(trials, "p99_us"), 0),
                  summary(ratios(trials, results["kernel"], "median_us")))
    return table


def idle(results):
    table = Table('Idle, poll = "adaptive", share of one core', "seconds", "process", "threads")
    for trial in results:
        if "reason" in trial:
            table.add("-", f"none: {trial['reason']}", "-")
            continue
        threads = ", ".join(f"{name.rsplit(' ', 1)[0]} {share:.1%}"
                            for name, share in trial["threads"].items())
        table.add(trial["seconds"], f"{trial['share']:.1%}", threads)
    return table


def machine(facts, trials):
    steal = max((trial.get("steal", 0) for trial in trials), default=0)
    count = sum(map(disturbed, trials))
    lines = [f"Processor  {facts['processor']}, {facts['cores']} cores",
             f"Kernel     {facts['kernel']}",
             f"Version    {facts['version']}",
             f"Load       {facts['load']} when it began" +
             (": other programs were running" if facts["load"] > 0.5 else ""),
             f"Steal      {'more' if steal > DISTURBED else 'never more'} than 1 % of a trial "
             f"(at most {steal:.1%})",
             f"Disturbed  {count} of {len(trials)} trials: steal, or waiting for a core, above 1 %"]
    return "\n".join(lines) + "\n"


def headroom(by_name):
    """How much more the sender can send, on the cable that comes first, than the fastest took."""
    cable, *forwarders = (values(trials, "mpps") for trials in by_name.values())
    fastest = max((statistics.median(rates) for rates in forwarders if rates), default=0)
    return statistics.median(cable) / fastest if cable and fastest else HEADROOM


def verdict(results):
    """The project's goal, against what was measured; and whether the sender was the limit."""
    lines = []
    for sender, by_name in results.items():
        head = headroom(by_name)
        if head < HEADROOM:
            lines.append(f"The {sender} can only send {head:.2f} times what the fastest forwards: "
                         "the differences between the forwarders are larger than shown")
        shares = ratios(by_name.get("xrouter", []), by_name.get("bare AF_XDP loop", []), "mpps")
        if shares:
            word = "reached" if statistics.median(shares) >= 0.9 else "MISSED"
            lines.append(f"Goal, at least 0.90 of the bare loop: {word} with the {sender}: "
                         f"{summary(shares)}")
    return "\n".join(lines) + "\n"
