"""How long a run takes from its command to its first batch, on a folder of many images: the first time and again.

    python benchmarks/startup.py --files 25000 --rounds 3

Each start is a process of its own. The first finds an empty cache: it lists the folder, reads every image and caches
the result, which a second start on the same folder uses. The clock runs from the start of Python to the first
training batch on the device; `imports` is the part of it that importing takes.
"""

import argparse
import io
import re
import statistics
import tempfile
import time
from pathlib import Path

import fresh
import numpy as np
from PIL import Image

RUN = """
import sys, time
from transformers import TrainerCallback
from hf_imgcls import train_classifier
from hf_imgcls.training import ImageTrainer
print("imports", time.time() - float(sys.argv[3]), flush=True)
class First(TrainerCallback):
    def on_step_begin(self, *args, **kwargs):
        print("first batch", time.time() - float(sys.argv[3]), flush=True)
        raise SystemExit(0)
original = ImageTrainer.__init__
def with_callback(self, *args, **kwargs):
    original(self, *args, **kwargs)
    self.add_callback(First())
ImageTrainer.__init__ = with_callback
train_classifier({
    "data": {"path": sys.argv[1]},
    "model": {"architecture": "convnet", "from_scratch": True, "image_size": 32, "config": {"filters": [8, 8]}},
    "training": {"output_dir": sys.argv[2], "max_steps": 1},
})
"""


def make_folder(root: Path, files: int, classes: int = 10) -> None:
    """Class folders of one small JPEG; a number appended to it makes every file unique."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    for number in range(files):
        folder = root / f"class_{number % classes}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:06d}.jpg").write_bytes(stream.getvalue() + str(number).encode())


def start(folder: Path, cache: Path, output: Path) -> tuple[float, float]:
    """Seconds to the end of the imports, and to the first batch."""
    printed = fresh.run(RUN, folder, output, time.time(), cache=cache)
    found = [re.search(rf"^{name} (\S+)$", printed, re.MULTILINE) for name in ("imports", "first batch")]
    return tuple(float(match[1]) for match in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=25_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    took: dict[str, list[tuple[float, float]]] = {"first": [], "second": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        folder.mkdir()
        make_folder(folder, options.files)
        for number in range(options.rounds):
            for which in took:
                elapsed = start(folder, Path(place, f"cache_{number}"), Path(place, f"{which}_{number}"))
                took[which].append(elapsed)
                print(
                    f"round {number + 1}, {which} start: imports {elapsed[0]:.1f} s, batch {elapsed[1]:.1f} s",
                    flush=True,
                )
    print(f"\n{options.files} files, medians of {options.rounds} rounds")
    for which, pairs in took.items():
        imports, batch = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{which} start: first batch after {batch:.1f} s, {imports:.1f} s of it imports")


if __name__ == "__main__":
    main()
