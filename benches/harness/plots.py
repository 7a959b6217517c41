"""The rates of each scene and the latencies, as plots."""

import statistics

import matplotlib

matplotlib.use("svg")

import measure
from figures import each, values
from matplotlib import pyplot
from report import by_scene


def write(folder, results):
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in results.items():
        if part.name == "load":
            save(latencies(rows), folder / "latency.svg")
        elif part.key == "mpps":
            for scene, by_name in by_scene(rows).items():
                plot = rates(f"{part.title}: {scene}", by_name)
                save(plot, folder / f"{file_name(part.name, scene)}.svg")


def file_name(*words):
    return "-".join(words).lower().replace(" ", "-").replace(",", "")


def save(figure, file):
    figure.savefig(file, bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def rates(title, by_name):
    """A bar for the median of each, and a line from its smallest to its largest figure."""
    measured = {name: values(trials, "mpps") for name, trials in by_name.items()}
    measured = {name: rates for name, rates in measured.items() if rates}
    middles = [statistics.median(rates) for rates in measured.values()]
    spread = [[abs(middle - end(rates)) for middle, rates in zip(middles, measured.values())]
              for end in (min, max)]
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(measured) + 1))
    axes.barh(list(measured), middles, xerr=spread, capsize=3, color="tab:blue")
    axes.invert_yaxis()
    axes.set(xlabel="Mpps: median, smallest, largest", title=title)
    return figure


def latencies(rows):
    """p50, full, and p99, dashed, of each forwarder over its load."""
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for n, ((_, name), trials) in enumerate(rows.items()):
        for key, style in (("p50", "-"), ("p99", "--")):
            points = [percentile(trials, load, key) for load in measure.LOADS]
            if None not in points:
                axes.plot([int(load) for load in measure.LOADS], points, style, color=f"C{n}",
                          marker="o", label=f"{name}, {key}")
    axes.set(xlabel="load, % of the forwarder's own rate", ylabel="microseconds", yscale="log",
             title="Latency, 64-byte UDP, one flow")
    axes.legend(fontsize="small")
    return figure


def percentile(trials, load, key):
    times = each(lambda trial: trial["latency"][load]["latency_us"][key], trials)
    return statistics.median(times) if times else None
