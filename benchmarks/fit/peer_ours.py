"""`hf-imgcls fit FOLDER --checkpoint WEIGHTS --minutes N`, then `hf-imgcls predict` on the test images."""

import csv
import json
import time

from scored import Task


def main() -> None:
    task = Task.read()
    run, table = task.work / "run", task.work / "predicted.csv"
    options = ["--checkpoint", str(task.weights), "--minutes", str(task.minutes), "--output", str(run)]
    begun = time.monotonic()
    _ends_well(["fit", str(task.folder), *options])
    seconds = time.monotonic() - begun
    _ends_well(["predict", str(run), str(task.folder / "test"), "--output", str(table), "--top-k", "1"])
    with table.open(newline="") as file:
        found = {row["image"]: row["label_1"] for row in csv.DictReader(file)}
    results = json.loads((run / "results.json").read_text())
    images, stages = results["time"]["training"]["images"], [each["train"] for each in results["stages"]]
    note = f"stages: {', '.join(map(str, stages))}"
    task.report([found[path] for path in task.photos("test")[0]], images, seconds, note)


def _ends_well(words: list[str]) -> None:
    from hf_imgcls import cli

    status = cli.main(words)
    assert not status, f"hf-imgcls {words[0]} ended with status {status}"


if __name__ == "__main__":
    main()
