"""How much faster an epoch reads prepared copies (`data.cache_size`) than users' transforms read the photographs.

    python benchmarks/prepared_copies.py --rounds 7
    python benchmarks/prepared_copies.py --data FOLDER_OF_CLASS_FOLDERS --rounds 7

The other side is the Hugging Face guide's transforms on the originals (see training_crops.py, whose sides and clock
these are); the limit is reading and decoding the copies, without cropping. Making the copies is measured apart, on one
core. Without --data: photo-like JPEGs of 12 megapixels.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import training_crops
from photos import SIZES, describe, make_folder
from torch import set_num_threads
from torch.utils.data import DataLoader
from transformers import DefaultDataCollator

from hf_imgcls.data import prepared
from hf_imgcls.images.decode import _decode_plain


def our_copies(folder: Path, cache_size: int):
    """(one pass over the copies as the trainer runs it, decoding them alone, seconds that making them took)."""
    loader, training = training_crops.our_batches(folder)
    start = time.process_time()
    copies = prepared.prepared_copies(loader.dataset.with_format(None), str(folder), cache_size)
    seconds = time.process_time() - start
    ours = DataLoader(copies.with_transform(training), training_crops.BATCH, collate_fn=DefaultDataCollator())
    # A copy takes a millisecond, the guide seconds a pass: ten passes, for the clock.
    times = max(1, 200 // len(copies))

    def decode() -> None:
        for _ in range(times):
            for image in copies["image"]:
                _decode_plain(image["bytes"])

    return lambda: [list(ours) for _ in range(times)], decode, seconds, times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders of JPEGs, instead of made images")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--cache-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    set_num_threads(1)
    prepared._ROWS_PER_PROCESS = 10**9  # one process makes them, whose time is measured
    with tempfile.TemporaryDirectory() as place:
        training_crops.datasets.config.HF_DATASETS_CACHE = Path(place, "cache")
        folder = options.data or Path(place, "photos")
        paths = (
            sorted(folder.glob("*/*")) if options.data else make_folder(folder, SIZES["12 megapixels"], options.images)
        )
        print(describe(paths), flush=True)
        ours, decode, making, times = our_copies(folder, options.cache_size)
        sides = {
            "hf_imgcls, copies": (ours, times),
            "the guide": (training_crops.guide(folder), 1),
            "decoding copies alone": (decode, times),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(options.rounds + 1):
            for name, (run, passes) in sides.items():
                start = time.process_time()
                run()
                seconds[name].append((time.process_time() - start) / passes)
        speeds = {name: len(paths) / statistics.median(taken[1:]) for name, taken in seconds.items()}
        training_crops.show("an epoch", speeds)
        print(f"  making the copies: {len(paths) / making:.1f} images per second")


if __name__ == "__main__":
    main()
