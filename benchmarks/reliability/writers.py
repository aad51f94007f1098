"""Two writers of one place at the same moment, and one right after another was killed.

    python benchmarks/reliability/writers.py

Two trainings into one folder, two predictions into one output, --start-over and `cache --clear` while a run goes on,
and a training that is started again at once when only its first process was killed, its workers left. Allowed is one
whole result, and one line that names the process of the other.
"""

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import warm
from damage import make_recipe
from outcome import differences, outcome


class Trials:
    """Counts what went otherwise than it should."""

    def __init__(self, work: Path):
        self.work, self.wrong = work, 0
        self.images = warm.make_images(work / "images", 3, 30)
        self.recipe = work / "recipe.json"
        self.recipe.write_text(json.dumps(make_recipe(self.images)))
        self.train = ["train", str(self.recipe)]
        warm.import_all(self.train, work / "whole")
        self.whole = outcome(work / "whole" / "run")

    def report(self, name: str, right: bool, detail: object) -> None:
        self.wrong += not right
        print(f"{'right' if right else 'WRONG':8} {name:50} {detail}", flush=True)

    def folder(self, name: str) -> Path:
        (self.work / name).mkdir()
        return self.work / name

    def while_it_trains(self, name: str, arguments: list[str], moment: Callable[[Path], bool]) -> None:
        """A second command at some moment of a training; the cache is the same, the first one ends as ever."""
        folder, cache = self.folder(name), self.work / name / "cache"
        other = self.folder(f"{name} (second)")
        first = warm.start(self.train, folder, cache)
        while not moment(folder):
            time.sleep(0.003)
        again = ["train", str(self.recipe), f"training.output_dir={folder / 'run'}"]
        status = warm.wait(warm.start(arguments or again, other, cache))
        ended, line = warm.wait(first), warm.last_line(other)
        wrong = differences(self.whole, outcome(folder / "run")) if ended == 0 else f"status {ended}"
        named = f"by process {first} (" in line
        self.report(name, not wrong and status == 2 and named, f"second: status {status}, {line[:230]} {wrong or ''}")

    def killed_without_its_workers(self) -> None:
        folder, workers = self.folder("killed"), ["training.dataloader_num_workers=2"]
        first = warm.start([*self.train, *workers], folder)
        while not list(folder.glob("run/stage-2/checkpoint-*[0-9]")):
            time.sleep(0.003)
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        status = warm.wait(warm.start([*self.train, *workers], folder))
        warm.kill(first)  # its group: what is left of it
        wrong = differences(self.whole, outcome(folder / "run")) if status == 0 else warm.last_line(folder)
        self.report("killed, its workers left", not wrong, f"status {status} {wrong or ''}")

    def two_predictions(self) -> None:
        output, model = self.work / "rows.csv", str(self.work / "whole" / "run")
        folders = [self.folder("predict"), self.folder("predict (second)")]
        command = ["predict", model, str(self.images), "--output", str(output)]
        pids = [warm.start(command, folder) for folder in folders]
        statuses = [warm.wait(pid) for pid in pids]
        with output.open(newline="") as file:
            names = [row["image"] for row in csv.DictReader(file)]
        lines = [warm.last_line(folder) for folder in folders]
        right = len(names) == len(set(names)) == 90 and sorted(statuses) in ([0, 0], [0, 2])
        self.report("two predictions at once", right, f"status {statuses}, {len(names)} rows, {lines}")


def main() -> int:
    options = warm.work_folder(__doc__)
    trials = Trials(options.work)
    trials.while_it_trains("at the same moment", [], lambda folder: (folder / "run" / ".lock").exists())
    stage_2 = lambda folder: any(folder.glob("run/stage-2/checkpoint-*"))  # noqa: E731
    trials.while_it_trains("while it trains", [], stage_2)
    again = [*trials.train, f"training.output_dir={options.work / 'start over' / 'run'}", "--start-over"]
    trials.while_it_trains("start over", again, stage_2)
    trials.while_it_trains("cache --clear", ["cache", "--clear"], stage_2)
    trials.killed_without_its_workers()
    trials.two_predictions()
    left = [
        path
        for path in options.work.rglob("*")
        if path.name.endswith((".lock", ".part")) and "_builder" not in path.name
    ]
    trials.report("no lock is left", not left, left)
    return int(trials.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
