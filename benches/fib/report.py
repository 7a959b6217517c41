"""Tables of what `fib` and `pipeline` print."""

import argparse
import json
import sys


def spread(figure, digits=1):
    if figure is None:
        return "-"
    return "{median:.{d}f} ({low:.{d}f}..{high:.{d}f})".format(d=digits, **figure)


def lookup(row):
    return (row["family"], row["table"], row["trace"], row["program"], row["batch"],
            spread(row["ns"]), spread(row["ratio"], 2), row["wrong"])


def pipeline(row):
    return (row["family"], row["table"], row["destinations"], spread(row["ns"]),
            spread(row["lookup_ns"]), spread(row["times"], 2), f"{row['mpps']:.1f}")


def readers(row):
    return (row["family"], spread(row["quiet_ns"]), spread(row["busy_ns"]),
            spread(row["ratio"], 2), f"{row['updates_per_s']:.0f}")


def single(row):
    return (row["family"], *(f"{row['microseconds'][key]:.1f}"
                             for key in ("median", "p99", "p99.9", "most")))


def goal(row):
    return (row["goal"], row["asked"], f"{row['measured']:.2f} {row['unit']}",
            "met" if row["met"] else "missed")


# Kind of figure -> title, columns, the cells of a row.
TABLES = {
    "machine": ("Machine", ("processor", "vectors", "kernel", "load at the start"),
                lambda row: (row["processor"], row["vectors"], row["kernel"], row["load"])),
    "goal": ("Goals", ("what", "asked", "measured", ""), goal),
    "lookup": ("Lookups, ns for an address", ("", "table", "addresses", "program", "batch", "ns",
               "of rte_fib(6) 4 B", "wrong"), lookup),
    "load": ("Loading a full table", ("", "program", "s"),
             lambda row: (row["family"], row["program"], spread(row["seconds"], 2))),
    "updates": ("Updates, one writer", ("", "program", "million/s"),
                lambda row: (row["family"], row["program"], spread(row["millions"], 2))),
    "update": ("One update, us", ("", "median", "p99", "p99.9", "most"), single),
    "readers": ("A reader beside a writer, ns for an address",
                ("", "no updates", "updates", "ratio", "updates/s"), readers),
    "memory": ("Memory of a process with both full tables, MiB", ("without routes", "with"),
               lambda row: (f"{row['empty_mib']:.0f}", f"{row['full_mib']:.0f}")),
    "pipeline": ("Pipeline without I/O, ns for a packet on one core", ("", "table", "destinations",
                 "pipeline", "lookup alone", "ratio", "Mpps"), pipeline),
}


def tables(figures):
    for kind, (title, columns, cells) in TABLES.items():
        rows = [cells(figure) for figure in figures if figure["kind"] == kind]
        if rows:
            yield title, [columns, *([str(cell) for cell in row] for row in rows)]


def text(title, rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"\n{title}", *(f"  {line}" for line in lines)])


def markdown(title, rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join([f"\n### {title}\n", *lines])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("--json")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    with open(options.figures) as file:
        lines = file.read().splitlines()
    figures = [json.loads(line) for line in lines]
    if options.json:
        with open(options.json, "w") as file:
            file.write("\n".join(lines) + "\n")
    for table in tables(figures):
        print(text(*table))
    if options.markdown:
        with open("/dev/stdout" if options.markdown == "-" else options.markdown, "w") as file:
            file.write("\n".join(markdown(*table) for table in tables(figures)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
