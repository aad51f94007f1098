"""Kill `predict` again and again, run two at once, and tear the output: each image once, each with its row.

    python benchmarks/reliability/predictions.py runs/digits_resnet --images 20000 --kills 35

One image in 500 is broken. Memory, threads and handles are noted while the whole list is predicted once.
"""

import csv
import io
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import warm
from PIL import Image

_FORMATS = ("csv", "jsonl", "parquet")


def make_images(folder: Path, count: int) -> Path:
    """So many files of 40 different images of 16x16, one in 500 of them broken, 2,000 in a folder."""
    noise, images = np.random.default_rng(0), []
    for _ in range(40):
        stream = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(stream, "PNG")
        images.append(stream.getvalue())
    for number in range(count):
        file = folder / f"{number // 2000:02d}" / f"{number:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(images[number % 40] if number % 500 else b"broken")
    return folder


def read_rows(file: Path) -> list[dict]:
    if file.suffix == ".csv":
        with file.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return pq.read_table(file).to_pylist()


def judge(file: Path, count: int) -> str:
    """`complete`, or what is wrong with the rows."""
    rows = read_rows(file)
    names = {row["image"] for row in rows}
    empty = sum(not row["error"] and not row["label_1"] for row in rows)
    if len(rows) == len(names) == count and not empty:
        return "complete"
    return f"WRONG: {len(rows)} rows, {len(names)} images of {count}, {empty} with neither label nor error"


class Trials:
    """Runs of predict over one folder of images."""

    def __init__(self, work: Path, model: str, images: Path, count: int):
        self.work, self.model, self.images, self.count = work, model, images, count
        self.failed = 0

    def begin(self, output: Path) -> int:
        output.parent.mkdir(exist_ok=True)
        command = ["predict", self.model, str(self.images), "--output", str(output)]
        return warm.start(command, output.parent, self.work / "cache")

    def report(self, name: str, output: Path, detail: object) -> None:
        verdict = judge(output, self.count) if output.exists() else "WRONG: no output"
        left = [path.name for path in output.parent.iterdir() if path.name not in (output.name, "out.txt")]
        left = [name for name in left if not name.endswith(".lock")]
        wrong = verdict != "complete" or bool(left) or warm.has_traceback(output.parent)
        self.failed += wrong
        said = f"; left {left}" * bool(left) + f"; last line: {warm.last_line(output.parent)}" * wrong
        print("FAILED " if wrong else "ok     ", f"{name}: {verdict}; {detail}{said}", flush=True)

    def whole(self) -> None:
        """Once from beginning to end, with what it takes of the machine."""
        output, marks = self.work / "whole" / "rows.csv", []
        pid = self.begin(output)
        while (status := warm.finished(pid)) is None:
            process = psutil.Process(pid)
            if output.exists():
                rows = output.read_bytes().count(b"\n")
                marks.append((rows, process.memory_info().rss >> 20, process.num_threads(), process.num_fds()))
            time.sleep(1)
        shown = marks[:: max(1, len(marks) // 5)]
        self.report("whole", output, f"status {status}; rows, MB, threads, handles: {shown}")

    def killed(self, ending: str, kills: int) -> None:
        output, draw, statuses = self.work / f"killed-{ending}" / f"rows.{ending}", random.Random(ending), []
        for _ in range(kills):
            end = time.monotonic() + draw.uniform(0.3, 4)
            statuses.append(warm.watch(self.begin(output), lambda end=end: time.monotonic() > end))
            if statuses[-1] != "killed":
                break
        statuses.append(warm.wait(self.begin(output), 600))
        self.report(f"{statuses.count('killed')} kills, .{ending}", output, f"last status {statuses[-1]}")

    def two_at_once(self, ending: str) -> None:
        output = self.work / f"two-{ending}" / f"rows.{ending}"
        pids = [self.begin(output), self.begin(output)]
        statuses = [warm.wait(pid, 600) for pid in pids]
        detail = f"statuses {statuses}"
        if any(statuses) and not (output.exists() and judge(output, self.count) == "complete"):
            detail += f", then {warm.wait(self.begin(output), 600)}"
        self.report(f"two at once, .{ending}", output, detail)

    def torn(self, ending: str) -> None:
        whole = self.work / f"killed-{ending}" / f"rows.{ending}"
        content = whole.read_bytes()
        tails = {"cut": content[:-37], "noise": content[:-50] + os.urandom(40), "zeros": content[:-4096] + bytes(4096)}
        for name, torn in tails.items():
            output = self.work / f"torn-{name}-{ending}" / whole.name
            output.parent.mkdir()
            output.write_bytes(torn)
            status = warm.wait(self.begin(output), 600)
            if status in (1, 2) and not warm.has_traceback(output.parent):
                print(
                    "ok     ", f"output torn ({name}), .{ending}: refused: {warm.last_line(output.parent)}", flush=True
                )
            else:
                self.report(f"output torn ({name}), .{ending}", output, f"status {status}")


def main() -> int:
    options = warm.work_folder(
        __doc__,
        ("model", {}),
        ("--images", {"type": int, "default": 20_000}),
        ("--kills", {"type": int, "default": 35}),
    )
    model = str(Path(options.model).resolve())
    images = make_images(options.work / "images", options.images)
    one = next(images.rglob("*.png"))
    warm.import_all(["predict", model, str(one), "--output", "one.csv"], options.work / "first")
    trials = Trials(options.work, model, images, options.images)
    trials.whole()
    for ending in _FORMATS:
        trials.killed(ending, -(-options.kills // len(_FORMATS)))
        trials.two_at_once(ending)
    for ending in _FORMATS[:2]:
        trials.torn(ending)
    print(f"{trials.failed} failed ({options.work})")
    if not trials.failed:
        shutil.rmtree(options.work)
    return int(trials.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
