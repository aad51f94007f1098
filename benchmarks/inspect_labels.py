"""How many flipped labels `inspect --labels` has among the most suspect ones.

    python benchmarks/inspect_labels.py --data photos --checkpoint facebook/deit-tiny-patch16-224

Labels of random training images are flipped to another random class by `data.relabel`; nothing on the disk is changed.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np

from hf_imgcls import inspect_data, load_data, load_recipe
from hf_imgcls.api import InspectOptions


def flip(data, decisions: Path, count: int, seed: int, but: Collection[str] = ()) -> set[str]:
    """Write decisions that give so many random training images another class; returns their files, none of `but`."""
    random, labels = np.random.default_rng(seed), data.splits["train"]["label"][:]
    free = [i for i, file in enumerate(data.files["train"]) if file not in but]
    flipped = random.choice(free, count, replace=False)
    with decisions.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "split", "label", "suggested", "decision"])
        for i in flipped:
            own = data.labels[labels[i]]
            others = [name for name in data.labels if name != own]
            table.writerow([data.files["train"][i], "train", own, random.choice(others), "relabel"])
    return {data.files["train"][i] for i in flipped}


def print_found(report: dict, flipped: set[str]) -> None:
    of_train = [each["file"] for each in report["suspects"] if each["split"] == "train"]
    for times in (1, 2, 4):
        most = times * len(flipped)
        found = len(flipped & set(of_train[:most]))
        print(f"{found} of {len(flipped)} flipped labels are among the {most} most suspect ones of train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--checkpoint", nargs="+", required=True)
    parser.add_argument("--flipped", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    content = {
        "data": {"path": options.data},
        "model": {"checkpoint": options.checkpoint[0]},
        "training": {"output_dir": "none", "use_cpu": True},
    }
    data = load_data(load_recipe(content).data)
    with tempfile.TemporaryDirectory() as folder:
        decisions = Path(folder) / "flipped.csv"
        flipped = flip(data, decisions, options.flipped, options.seed)
        begun = time.perf_counter()
        report = inspect_data(
            content, [f"data.relabel={decisions}"], InspectOptions(checkpoints=tuple(options.checkpoint))
        )
        seconds = time.perf_counter() - begun
    print_found(report, flipped)
    images = sum(split["images"] for split in report["splits"].values())
    print(f"{images:,} images, {seconds:.0f} s")


if __name__ == "__main__":
    main()
