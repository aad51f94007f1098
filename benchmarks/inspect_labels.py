"""How many flipped labels `inspect --labels` has among the most suspect ones.

    python benchmarks/inspect_labels.py --data photos --checkpoint facebook/deit-tiny-patch16-224

Labels of random training images are flipped to another random class by `data.relabel`; nothing on the disk is changed.
"""

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np

from hf_imgcls import inspect_data, load_data, load_recipe
from hf_imgcls.api import InspectOptions


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
    random, labels = np.random.default_rng(options.seed), data.splits["train"]["label"][:]
    flipped = random.choice(len(labels), options.flipped, replace=False)
    with tempfile.TemporaryDirectory() as folder:
        decisions = Path(folder) / "flipped.csv"
        with decisions.open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["file", "split", "label", "suggested", "decision"])
            for i in flipped:
                others = [name for name in data.labels if name != data.labels[labels[i]]]
                own = data.labels[labels[i]]
                table.writerow([data.files["train"][i], "train", own, random.choice(others), "relabel"])
        begun = time.perf_counter()
        report = inspect_data(
            content, [f"data.relabel={decisions}"], InspectOptions(checkpoints=tuple(options.checkpoint))
        )
        seconds = time.perf_counter() - begun
    names = {data.files["train"][i] for i in flipped}
    of_train = [each["file"] for each in report["suspects"] if each["split"] == "train"]
    for times in (1, 2, 4):
        most = times * options.flipped
        found = len(names & set(of_train[:most]))
        print(f"{found} of {options.flipped} flipped labels are among the {most} most suspect ones of train")
    images = sum(split["images"] for split in report["splits"].values())
    print(f"{images:,} images, {seconds:.0f} s")


if __name__ == "__main__":
    main()
