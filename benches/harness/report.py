"""The tables: of each part, of the goals, and what the machine was like."""

import forwarders
import goals
import measure
from adversary import PLAIN
from figures import DISTURBED, added_ns, disturbed, each, figure, ratios, remains, summary, values
from forwarders import Kernel
from parts import FLOOR
from rich import box
from rich.markup import escape
from rich.table import Table as Shown

LACKS = {forwarder.name: forwarder.lacks for forwarder in forwarders.ALL}
COLOURS = {goals.HELD: "green", goals.MISSED: "red", goals.OPEN: "yellow"}


class Table:
    def __init__(self, title, *columns):
        self.title, self.columns, self.rows = title, columns, []

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def shown(self):
        """For a terminal or a file of text."""
        table = Shown(*self.columns, title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for row in self.rows:
            table.add_row(*map(coloured, row))
        return table

    def markdown(self):
        head, *rows = ["| " + " | ".join(row) + " |" for row in (self.columns, *self.rows)]
        rule = "|" + " --- |" * len(self.columns)
        return "\n".join([f"**{self.title}**", "", head, rule, *rows]) + "\n"


def coloured(cell):
    colour = "red" if cell.startswith("none: ") else COLOURS.get(cell)
    return f"[{colour}]{escape(cell)}[/]" if colour else escape(cell)


def by_scene(rows):
    """Scene -> forwarder -> trials."""
    scenes = {}
    for (scene, name), trials in rows.items():
        scenes.setdefault(scene, {})[name] = trials
    return scenes


def count_disturbed(trials):
    return f"{sum(map(disturbed, trials))} of {len(trials)}"


def rates(part, rows):
    return [scene_rates(f"{part.title}: {scene}", by_name)
            for scene, by_name in by_scene(rows).items()]


def scene_rates(title, by_name):
    table = Table(title, "forwarder", "Mpps", "of the kernel", "ns added", "CPU ns per packet",
                  "disturbed", "does not do")
    kernel, floor = by_name[Kernel.name], by_name[FLOOR]
    for name, trials in by_name.items():
        added = "-" if name == FLOOR else summary(added_ns(trials, floor), 0)
        table.add(name, figure(trials, "mpps"), summary(ratios(trials, kernel, "mpps")), added,
                  summary(values(trials, "cpu_ns_per_packet"), 0), count_disturbed(trials),
                  LACKS.get(name, "-"))
    return table


def with_table(part, rows):
    """As the other rates, and what of the rate of one route remains."""
    scenes = by_scene(rows)
    shares = Table("With a table: what of the rate of one route remains", "with", "forwarder",
                   "share")
    for table in part.bench.tables:
        for name, trials in scenes[table.name].items():
            one = scenes[table.without][name]
            shares.add(table.name, name, summary(ratios(trials, one, "mpps")))
    return [*rates(part, rows), shares]


def load(part, rows):
    return [limits(part, rows), latencies(rows)]


def limits(part, rows):
    table = Table(part.title, "forwarder", "Mpps, loss below 0.5 %", "Mpps, no loss",
                  f"when {measure.OVERLOAD} times the first comes, of the most", "times that came",
                  "disturbed")
    for (_, name), trials in rows.items():
        table.add(name, figure(trials, "loss_0.5"), summary(values(trials, "loss_0")),
                  summary(each(remains, trials)),
                  summary(each(lambda trial: trial["overload"]["times"], trials), 1),
                  sum(disturbed(one) for trial in trials for one in trial.get("trials", [])))
    return table


def latencies(rows):
    table = Table("Latency in microseconds, 64-byte UDP, at a share of the forwarder's own rate",
                  "forwarder", "load", "p50", "p99", "p99.9", "greatest")
    for (_, name), trials in rows.items():
        for load in measure.LOADS:
            times = each(lambda trial: trial["latency"][load]["latency_us"], trials)
            table.add(name, f"{load} %", *(summary([time[of] for time in times], 0)
                                           for of in ("p50", "p99", "p999", "max")))
    return table


def attacked(part, rows):
    table = Table(part.title, "to", "forwarder", "Mpps", f"of {PLAIN}", "disturbed")
    for (scene, name), trials in rows.items():
        plain = rows[f"{scene.split(',')[0]}, {PLAIN}", name]
        table.add(scene, name, figure(trials, "mpps"), summary(ratios(trials, plain, "mpps")),
                  count_disturbed(trials))
    return [table]


def churned(part, rows):
    table = Table(part.title, "forwarder", part.unit, "lost", "p99 in quiet, us", "p99, us",
                  "p99.9, us", "other than the kernel's in the end", "disturbed")
    for (_, name), trials in rows.items():
        quiet = each(lambda trial: trial["quiet"]["latency_us"]["p99"], trials)
        p99, p999 = (each(lambda trial, of=of: trial["latency_us"][of], trials)
                     for of in ("p99", "p999"))
        table.add(name, figure(trials, part.key, part.digits), summary(each(lost, trials), 0),
                  summary(quiet, 0), summary(p99, 0), summary(p999, 0),
                  summary(values(trials, "differences"), 0), count_disturbed(trials))
    return [table]


def lost(trial):
    return trial["loss"] * trial["sent"]


def reloaded(part, rows):
    table = Table(part.title, "forwarder", part.unit, "of", "reloads", "disturbed")
    for (_, name), trials in rows.items():
        table.add(name, figure(trials, part.key, part.digits), summary(values(trials, "sent"), 0),
                  summary(values(trials, "reloads"), 0), count_disturbed(trials))
    return [table]


def beside_kernel(part, rows):
    """A row for each scene and forwarder, and its share of the kernel's figure."""
    table = Table(part.title, "path", "forwarder", part.unit, "of the kernel", "disturbed")
    for (scene, name), trials in rows.items():
        table.add(scene, name, figure(trials, part.key, part.digits), summary(ratios(
            trials, rows[scene, Kernel.name], part.key)), count_disturbed(trials))
    return [table]


def ping(part, rows):
    table = Table(part.title, "forwarder", "median", "99th percentile", "of the kernel")
    for (scene, name), trials in rows.items():
        table.add(name, figure(trials, "median_us", 0), summary(values(trials, "p99_us"), 0),
                  summary(ratios(trials, rows[scene, Kernel.name], "median_us")))
    return [table]


def idle(part, rows):
    table = Table(part.title, "forwarder", "process", "threads")
    for (_, name), (trial,) in rows.items():
        threads = ", ".join(f"{thread.rsplit(' ', 1)[0]} {share:.1%}"
                            for thread, share in trial.get("threads", {}).items())
        table.add(name, figure([trial], "share", 3), threads)
    return [table]


def smoke(part, rows):
    table = Table(part.title, "scene", "forwarder", "result")
    for (scene, name), (trial,) in rows.items():
        passed = f"{trial['received']} packets" if "received" in trial else figure([trial], "mpps")
        table.add(scene, name, passed)
    return [table]


OTHERS = {"table": with_table, "load": load, "adversary": attacked, "learn": beside_kernel,
          "churn": churned, "reload": reloaded, "tcp": beside_kernel,
          "tcp-plain": beside_kernel, "tcp-gro": beside_kernel, "connections": beside_kernel,
          "ping": ping, "idle": idle, "smoke": smoke}


def tables(results):
    made = [table for part, rows in results.items()
            for table in OTHERS.get(part.name, rates)(part, rows)]
    if any(part.name == "smoke" for part in results):
        return made
    return [*made, judged({part.name: rows for part, rows in results.items()})]


def judged(results):
    table = Table("Goals", "goal", "wanted", "measured", "")
    for goal in goals.all_of(results):
        table.add(goal.text, f"{goal.relation} {goal.wanted:.2f}", summary(goal.measured),
                  goal.verdict())
    return table


def notes():
    """What a reader of the tables has to know beside them."""
    return [f"{forwarder.name}: {forwarder.missing()}" for forwarder in forwarders.EACH
            if forwarder.missing()]


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
