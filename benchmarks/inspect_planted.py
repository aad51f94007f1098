"""What `inspect` finds of everything that is planted into one dataset: copies, odd files, flipped labels.

    python benchmarks/inspect_planted.py --data photos --odd odd_files --copies 40

Copies of training images (see inspect_duplicates.py) are put into the test split, and a folder of odd files into the
classes of train in turn: those that Pillow cannot load are to be named as unreadable, the others to be counted as
images. With --checkpoint labels are flipped too (see inspect_labels.py).
"""

import argparse
import shutil
import tempfile
import time
import warnings
from pathlib import Path

from inspect_duplicates import pairs, plant, print_found
from inspect_labels import flip
from inspect_labels import print_found as print_labels
from PIL import Image

from hf_imgcls import inspect_data, load_data, load_recipe
from hf_imgcls.api import InspectOptions


def plant_odd(data: Path, odd: Path) -> dict[str, bool]:
    """Copy odd files into train; returns whether Pillow loads each, by its place in the data."""
    classes, found = sorted((data / "train").iterdir()), {}
    for number, file in enumerate(sorted(f for f in odd.iterdir() if f.suffix != ".md")):
        target = classes[number % len(classes)] / f"odd-{file.name}"
        shutil.copy(file, target)
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(target) as image:
                image.convert("RGB")
            found[str(target.relative_to(data))] = True
        except (OSError, ValueError):
            found[str(target.relative_to(data))] = False
    return found


def print_odd(report: dict, odd: dict[str, bool], images: int) -> None:
    """Found and missed; and what else is said of the odd files that can be read."""
    named = {}
    for finding in report["findings"]:
        files = {each["file"] for each in finding["files"] if "file" in each}
        named[finding["kind"]] = named.get(finding["kind"], set()) | files
    broken = {file for file, loads in odd.items() if not loads}
    unreadable = named.pop("unreadable", set())
    print(f"odd files: {len(broken & unreadable)} of {len(broken)} that Pillow cannot load are named as unreadable")
    print(f"odd files: {images} of {len(odd) - len(broken)} that it loads are counted as images")
    for file in sorted((broken - unreadable) | (unreadable & odd.keys() - broken)):
        print(f"  otherwise: {file}")
    for kind, files in named.items():
        if files & odd.keys():
            print(f"  {kind}: {', '.join(sorted(Path(file).name for file in files & odd.keys()))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="class folders below train and test")
    parser.add_argument("--odd", type=Path, required=True, help="a folder of odd files")
    parser.add_argument("--copies", type=int, default=40, help="of each kind; 0 plants none")
    parser.add_argument("--checkpoint", nargs="+", default=[], help="networks by whose features labels are judged")
    parser.add_argument("--flipped", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        shutil.copytree(options.data, data, copy_function=shutil.copyfile)
        for place in (data, *(each for each in data.rglob("*") if each.is_dir())):
            place.chmod(0o755)
        images = sum(file.is_file() and file.suffix != ".md" for file in data.rglob("*"))
        before = inspect_data(data) if options.copies else {"findings": []}
        known = {near: pairs(before, near) for near in (True, False)}
        planted = plant(data, options.copies, options.seed)
        odd = plant_odd(data, options.odd)
        overrides, flipped = [], set()
        if options.checkpoint:
            sections = {"data": {"path": str(data)}, "model": {"checkpoint": options.checkpoint[0]}}
            loaded = load_data(load_recipe({**sections, "training": {"output_dir": "none"}}).data)
            sources = {file for file in loaded.files["train"] if any(Path(file).stem in name for name in planted)}
            flipped = flip(loaded, Path(folder) / "flipped.csv", options.flipped, options.seed, {*sources, *odd})
            overrides = [f"data.relabel={folder}/flipped.csv"]
        begun, busy = time.perf_counter(), time.process_time()
        report = inspect_data(data, overrides, InspectOptions(checkpoints=tuple(options.checkpoint)))
        seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    if options.copies:  # pairs of odd files, of which some are one photo, are no copies that were planted
        known = {near: of | {pair for pair in pairs(report, near) if pair & odd.keys()} for near, of in known.items()}
        print_found(report, known, planted, options.copies)
    total = sum(split["images"] for split in report["splits"].values())
    print_odd(report, odd, total - images - len(planted))
    if flipped:
        print_labels(report, flipped)
    print(f"{total:,} images, {seconds:.0f} s, of this process {busy:.0f} s busy")


if __name__ == "__main__":
    main()
