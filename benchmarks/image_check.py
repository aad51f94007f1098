"""How long the search for unreadable images takes: hf_imgcls against opening each file in a loop.

    python benchmarks/image_check.py --images 5000 --rounds 3

Both sides read the same files in turn, each time in a process of its own; the clock starts after the imports. Cold is
the first check, by as many processes as the machine has cores, warm the next run's, which finds the results in the
cache. The loop loads each image in full with Pillow; it caches nothing. The files are in the page cache. Without
--data: photo-like images of 512x384, 100 different ones over and over.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import fresh
from photos import describe, make_folder

OURS = """
from hf_imgcls.data.check import check_images
from hf_imgcls.data.folders import scan_folder
from hf_imgcls.data.rows import load_entries
rows = load_entries([e for split in scan_folder(Path(folder))[0].values() for e in split])
start = time.perf_counter()
bad = sum(map(bool, check_images(rows, "train")["reason"][:]))
"""
THEIRS = """
import PIL.Image
files = sorted(path for path in Path(folder).glob("*/*"))
start = time.perf_counter()
bad = 0
for file in files:
    try:
        PIL.Image.open(file).load()
    except Exception:
        bad += 1
"""


def seconds(code: str, folder: Path, cache: Path) -> tuple[float, int]:
    """(seconds, unreadable images) of one check in a fresh process."""
    code = (
        f"import sys, time\nfrom pathlib import Path\nfolder = sys.argv[1]{code}print(time.perf_counter() - start, bad)"
    )
    output = fresh.run(code, folder, cache=cache)
    elapsed, bad = output.split()[-2:]
    return float(elapsed), int(bad)


def make_images(folder: Path, count: int, different: int = 100) -> list[Path]:
    paths = make_folder(folder, (512, 384), min(count, different))
    for number in range(len(paths), count):
        original = paths[number % different]
        paths.append(original.with_name(f"{number:06d}.jpg"))
        paths[-1].write_bytes(original.read_bytes())
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders, instead of made images")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    times: dict[str, list[float]] = {"cold": [], "warm": [], "loop": []}
    with tempfile.TemporaryDirectory() as place:
        folder = options.data or Path(place, "photos")
        paths = sorted(folder.glob("*/*")) if options.data else make_images(folder, options.images)
        print(describe(paths), flush=True)
        for number in range(options.rounds):
            cache = Path(place, f"cache_{number}")
            found = {side: seconds(OURS if side != "loop" else THEIRS, folder, cache) for side in times}
            if len({bad for _, bad in found.values()}) > 1:
                raise RuntimeError(f"the sides disagree about what cannot be read: {found}")
            for side, (elapsed, _) in found.items():
                times[side].append(elapsed)
            print(f"round {number + 1}: " + ", ".join(f"{side} {values[-1]:.2f} s" for side, values in times.items()))
    loop, cold, warm = (statistics.median(times[side]) for side in ("loop", "cold", "warm"))
    print(f"\nmedians of {options.rounds} rounds, {os.cpu_count()} cores")
    print(f"loop {loop:.2f} s; cold {cold:.2f} s, x{loop / cold:.2f}; warm {warm:.3f} s, x{loop / warm:.0f}")


if __name__ == "__main__":
    main()
