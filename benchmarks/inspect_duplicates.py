"""How many planted copies of images `inspect` finds: near duplicates by kind, exact ones, precision, seconds.

    python benchmarks/inspect_duplicates.py --data photos --copies 40

Copies of random training images (saved at quality 70, resized to 80 %, cropped by 5 % at each side, brighter by a
fifth, and byte for byte) are put into the test split of a copy of the data in a temporary folder. A pair that was not
planted counts as wrong unless it was found in the data before.
"""

import argparse
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from hf_imgcls import inspect_data


def save(change: Callable[[Image.Image], Image.Image], quality: int = 92) -> Callable[[Path, Path], None]:
    def make(source: Path, target: Path) -> None:
        change(Image.open(source).convert("RGB")).save(target, quality=quality)

    return make


def crop(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((round(0.05 * width), round(0.05 * height), round(0.95 * width), round(0.95 * height)))


def shrink(image: Image.Image) -> Image.Image:
    return image.resize((round(0.8 * image.width), round(0.8 * image.height)), Image.Resampling.LANCZOS)


KINDS = {
    "same": shutil.copy,
    "quality70": save(lambda image: image, 70),
    "resized80": save(shrink),
    "cropped5": save(crop),
    "brighter20": save(lambda image: ImageEnhance.Brightness(image).enhance(1.2)),
}


def plant(data: Path, copies: int, seed: int) -> dict[str, str]:
    """Put so many copies of each kind into the test split; returns kind by the name of the copy."""
    files = sorted(f for f in data.rglob("*") if f.suffix.lower() in (".jpg", ".jpeg", ".png") and "train" in f.parts)
    chosen = np.random.default_rng(seed).choice(len(files), copies * len(KINDS), replace=False)
    planted = {}
    for number, i in enumerate(chosen):
        kind, source = list(KINDS)[number % len(KINDS)], files[i]
        target = data / "test" / source.parent.name / f"{kind}-{source.stem}.jpg"
        KINDS[kind](source, target)
        planted[str(target.relative_to(data))] = kind
    return planted


def pairs(report: dict, near: bool) -> set[frozenset[str]]:
    """The pairs of files of the findings about near, or else about exact duplicates."""
    found = [each for finding in report["findings"] for each in finding["files"] if "other_file" in each]
    return {frozenset((each["file"], each["other_file"])) for each in found if ("detail" in each) == near}


def print_found(report: dict, known: dict[bool, set], planted: dict[str, str], copies: int) -> None:
    """How many planted copies the report names beside their source; `known` are the pairs of the data before."""
    for near in (False, True):
        new = pairs(report, near) - known[near]
        right, hit = Counter(), set()
        for pair in new:
            for name in pair & planted.keys():
                (other,) = pair - {name}
                if Path(name).stem.endswith(Path(other).stem):
                    right[planted[name]] += 1
                    hit.add(pair)
        wanted = [kind for kind in KINDS if (kind == "same") != near]
        shown = ", ".join(f"{kind} {right[kind]} of {copies}" for kind in wanted)
        print(
            f"{'near' if near else 'exact'}: {shown}; {len(new - hit)} other pairs; in the data before: {known[near]}"
        )
        if near:
            print(f"precision {len(hit) / max(1, len(new)):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="class folders below train and test")
    parser.add_argument("--copies", type=int, default=40, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        shutil.copytree(options.data, data)
        before = inspect_data(data)
        known = {near: pairs(before, near) for near in (True, False)}
        planted = plant(data, options.copies, options.seed)
        begun, busy = time.perf_counter(), time.process_time()
        report = inspect_data(data)
        seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    images = sum(split["images"] for split in report["splits"].values())
    print_found(report, known, planted, options.copies)
    print(f"{images:,} images, {seconds:.0f} s, of this process {busy:.0f} s busy")


if __name__ == "__main__":
    main()
