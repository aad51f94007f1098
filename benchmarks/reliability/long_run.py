"""Whether a long training grows: memory, open files, threads, child processes and bytes on disk, epoch by epoch.

    python benchmarks/reliability/long_run.py --epochs 50 --workers 2

One run on a generated folder, with persistent workers, an evaluation and a checkpoint after each epoch of which two are
kept. After each epoch, when its checkpoint is there, the process and its children are counted. Printed are the figures
after the first three epochs, in the middle and at the end, and the growth of each from the third epoch on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from warm import SETTINGS, make_images

RUN = "import json, sys; from hf_imgcls import train_classifier; train_classifier(json.loads(sys.argv[1]))"
WARM_UP = 3  # epochs in which caches of allocators and imports fill


def recipe(folder: Path, output: Path, epochs: int, workers: int) -> dict:
    return {
        "data": {"path": str(folder), "validation_fraction": 0.2},
        "model": {"architecture": "convnet", "from_scratch": True, "image_size": 32, "config": {"filters": [8, 8]}},
        "augmentation": {"train": ["RandomHorizontalFlip"]},
        "training": {
            "output_dir": str(output),
            "num_train_epochs": epochs,
            "per_device_train_batch_size": 16,
            "save_total_limit": 2,
            "dataloader_num_workers": workers,
            "dataloader_persistent_workers": workers > 0,
            "disable_tqdm": True,
        },
    }


def count(process: psutil.Process, output: Path) -> dict[str, float]:
    family = [process, *process.children(recursive=True)]
    return {
        "MB of the process": process.memory_info().rss / 2**20,
        "MB of all": sum(each.memory_info().rss for each in family) / 2**20,
        "open files": sum(each.num_fds() for each in family),
        "threads": sum(each.num_threads() for each in family),
        "processes": len(family),
        "KB on disk": sum(file.stat().st_size for file in output.rglob("*") if file.is_file()) / 2**10,
        "checkpoints": len(list(output.glob("checkpoint-*"))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=80, help="of each of four classes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        output, counted = Path(place) / "run", {}
        content = recipe(
            make_images(Path(place) / "images", each=options.images), output, options.epochs, options.workers
        )
        environment = {**os.environ, **SETTINGS, "HF_HOME": str(Path(place) / "home")}
        log = (Path(place) / "log.txt").open("w")
        process = subprocess.Popen([sys.executable, "-c", RUN, json.dumps(content)], env=environment, stdout=log)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            rows = [line.split() for line in (Path(place) / "log.txt").read_text().splitlines()]
            epoch = max((int(row[0]) for row in rows if row and row[0].isdigit()), default=0)
            if epoch and epoch not in counted:
                time.sleep(0.2)  # the row is printed before the checkpoint is written
                try:
                    counted[epoch] = count(watched, output)
                except (psutil.Error, FileNotFoundError):  # the run ends, or an old checkpoint is being deleted
                    continue
            time.sleep(0.05)
        if process.returncode:
            raise RuntimeError((Path(place) / "log.txt").read_text())
    epochs = sorted(counted)
    shown = [epoch for epoch in (1, WARM_UP, options.epochs // 2, epochs[-1]) if epoch in counted]
    print(f"{'':20}" + "".join(f"{f'epoch {epoch}':>12}" for epoch in shown) + f"{'growth':>12}")
    for what in counted[epochs[-1]]:
        first = counted[min(epoch for epoch in epochs if epoch >= WARM_UP)][what]
        figures = "".join(f"{counted[epoch][what]:12,.0f}" for epoch in shown)
        print(f"{what:20}{figures}{counted[epochs[-1]][what] / first - 1:12.1%}")


if __name__ == "__main__":
    main()
