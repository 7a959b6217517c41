"""What the one who waits sees: on a terminal a bar with the time left; a line for each trial."""

import time

from figures import disturbed
from rich import progress
from rich.console import Console
from rich.markup import escape


class Progress:
    """`seconds`: how long all of it takes, about; corrected as it goes."""

    def __init__(self, seconds):
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self.bar = progress.Progress(
            progress.BarColumn(), progress.TaskProgressColumn(), "left:",
            progress.TimeRemainingColumn(), progress.TextColumn("{task.description}"),
            console=self.console, disable=not self.console.is_terminal)
        self.task, self.start = self.bar.add_task("", total=seconds), time.monotonic()
        self.title = ""

    def __enter__(self):
        self.bar.start()
        self.console.print(f"  about {self.bar.tasks[0].total / 60:.0f} minutes")
        return self

    def __exit__(self, *_):
        self.bar.stop()

    def begin(self, title):
        self.title = title
        self.bar.update(self.task, description=title)

    def end(self, trial, part, seconds):
        said = f"[red]no figure: {escape(trial['reason'])}[/]" if "reason" in trial else \
            f"{trial[part.key]:8.{part.digits}f} {part.unit}"
        mark = "   [yellow]disturbed[/]" if disturbed(trial) else ""
        elapsed = time.monotonic() - self.start
        self.console.print(f"  {elapsed:4.0f} s  {self.title:70} {said}{mark}")
        self.bar.advance(self.task, seconds)
