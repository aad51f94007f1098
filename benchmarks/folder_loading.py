"""How long a folder of class folders takes to load: hf_imgcls against the `imagefolder` builder of `datasets`.

    python benchmarks/folder_loading.py --files 25000 --rounds 3

Both sides load the same folder in turn, each time in a process of its own. Cold is the first load with an empty
cache, warm a second process with the cache that the first left. The clock starts after the imports. Neither side
opens an image; the folder is in the page cache of the operating system for both.
"""

import argparse
import io
import statistics
import tempfile
from pathlib import Path

import fresh
from PIL import Image

OURS = """
from hf_imgcls.data import open_source
from hf_imgcls.recipe import DataSection
start = time.perf_counter()
rows = open_source(DataSection(path=folder))[0]["train"]
"""
THEIRS = """
from datasets import load_dataset
start = time.perf_counter()
rows = load_dataset("imagefolder", data_dir=folder, split="train")
"""
SIDES = {"hf_imgcls": OURS, "imagefolder": THEIRS}


def make_folder(root: Path, files: int, classes: int = 10) -> None:
    """Class folders of one tiny image over and over: what is measured is the listing."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(stream, "PNG")
    for number in range(files):
        folder = root / f"class_{number % classes}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06d}.png").write_bytes(stream.getvalue())


def seconds(side: str, folder: Path, cache: Path, files: int) -> float:
    """One load in a fresh process."""
    code = f"import sys, time\nfolder = sys.argv[1]{SIDES[side]}print(len(rows), time.perf_counter() - start)"
    output = fresh.run(code, folder, cache=cache)
    count, elapsed = output.split()[-2:]
    if int(count) != files:
        raise RuntimeError(f"{side} found {count} of {files} files")
    return float(elapsed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        folder.mkdir()
        make_folder(folder, options.files)
        for number in range(options.rounds):
            for side in SIDES:
                for state in ("cold", "warm"):
                    elapsed = seconds(side, folder, Path(place, f"{side}_{number}"), options.files)
                    times.setdefault((state, side), []).append(elapsed)
                    print(f"round {number + 1}, {state}, {side}: {elapsed:.2f} s", flush=True)
    print(f"\n{options.files} files, medians of {options.rounds} rounds")
    for state in ("cold", "warm"):
        ours, theirs = (statistics.median(times[state, side]) for side in SIDES)
        print(f"{state}: hf_imgcls {ours:.2f} s, imagefolder {theirs:.2f} s, {theirs / ours:.0f} times as long")


if __name__ == "__main__":
    main()
