"""Where the results go: the terminal, JSON, Markdown, SVG."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import time

import report
from rich.console import Console

# Columns of a text that goes to a file.
WIDE = 200


def facts():
    processor = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    git = ["git", "-C", pathlib.Path(__file__).parent, "describe", "--always", "--dirty"]
    version = ""
    if shutil.which("git"):
        version = subprocess.run(git, capture_output=True, text=True).stdout
    return {"processor": processor[1] if processor else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": round(os.getloadavg()[0], 2),
            "version": version.strip() or "unknown", "date": time.strftime("%F %T %z")}


def trials(results):
    return [trial for rows in results.values() for row in rows.values() for trial in row]


def write(options, before, results):
    heading, notes = report.machine(before, trials(results)), report.notes()
    tables = report.tables(results)
    show(heading, tables, notes)
    if options.json:
        options.json.write_text(json.dumps(everything(before, results), indent=1) + "\n")
    if options.markdown:
        quoted = "```text\n" + heading + "```\n"
        text = "\n".join([quoted, *(table.markdown() for table in tables), *notes]) + "\n"
        sys.stdout.write(text) if options.markdown == "-" else \
            pathlib.Path(options.markdown).write_text(text)
    if options.svg:
        # Only who wants plots needs what draws them.
        import plots
        plots.write(options.svg, results)


def show(heading, tables, notes):
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    console.print("\n" + heading, markup=False)
    for table in tables:
        console.print(table.shown())
    for note in notes:
        console.print(note, markup=False)


def everything(before, results):
    return {"machine": before, "trials": [
        {"part": part.name, "scene": scene, "forwarder": name, "round": n + 1, **trial}
        for part, rows in results.items() for (scene, name), row in rows.items()
        for n, trial in enumerate(row)]}
