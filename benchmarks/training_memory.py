"""How much memory a training takes on 2,000 and on 25,000 images: what grows with the number of images.

    python benchmarks/training_memory.py --files 2000 25000 --rounds 3

Each training is a process of its own on a generated folder, the sizes in turn: a small network, a few steps, an
evaluation, scoring at the end. Measured is the peak of memory that is the process's own (anonymous; pages of mapped
files, which the system may drop at any time, are shown beside it), sampled while it runs. The second start on a folder
is measured; the first, which reads every image in processes of its own, fills the cache before.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from startup import make_folder

RUN = """
import json, sys
from hf_imgcls import train_classifier
train_classifier(json.loads(sys.argv[1]))
"""


def recipe(folder: Path, output: Path, steps: int, workers: int) -> dict:
    return {
        "data": {"path": str(folder), "max_samples": {"validation": 200}},
        "model": {"architecture": "convnet", "from_scratch": True, "image_size": 32, "config": {"filters": [8, 8]}},
        "training": {
            "output_dir": str(output),
            "max_steps": steps,
            "per_device_train_batch_size": 32,
            "eval_strategy": "steps",
            "eval_steps": steps,
            "save_strategy": "no",
            "dataloader_num_workers": workers,
            "disable_tqdm": True,
        },
    }


def peaks(content: dict, cache: Path) -> dict[str, float]:
    """Peak memory of a training in MB: its own, and with the files that it has mapped."""
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment = {**os.environ, "HF_HOME": str(cache), "HF_DATASETS_CACHE": str(cache / "datasets"), **quiet}
    command = [sys.executable, "-c", RUN, json.dumps(content)]
    found = {"own": 0, "with files": 0}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                memory = watched.memory_info()
                found["own"] = max(found["own"], memory.rss - memory.shared)
                found["with files"] = max(found["with files"], memory.rss)
            except psutil.Error:
                break
            time.sleep(0.02)
        if process.wait():
            errors.seek(0)
            raise RuntimeError(errors.read().decode())
    return {name: size / 2**20 for name, size in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs=2, default=[2000, 25_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    took: dict[int, list[dict[str, float]]] = {files: [] for files in options.files}
    with tempfile.TemporaryDirectory() as place:
        for files in took:
            Path(place, str(files)).mkdir()
            make_folder(Path(place, str(files)), files)
        for number in range(options.rounds + 1):
            for files in took:
                content = recipe(
                    Path(place, str(files)), Path(place, f"run_{files}_{number}"), options.steps, options.workers
                )
                found = peaks(content, Path(place, "cache"))
                if number:
                    took[files].append(found)
                    print(
                        f"round {number}, {files} images: {found['own']:.0f} MB own, {found['with files']:.0f} MB",
                        flush=True,
                    )
    print(f"\nmedians of {options.rounds} rounds")
    for kind in ("own", "with files"):
        few, many = (statistics.median(found[kind] for found in took[files]) for files in options.files)
        print(f"{kind}: {few:.0f} MB, {many:.0f} MB, growth {many / few - 1:.1%}")


if __name__ == "__main__":
    main()
