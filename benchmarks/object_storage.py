"""Images a second that `hf-imgcls pack` writes, and that a stream reads: from a folder, and from a stand-in for S3.

    OMP_NUM_THREADS=1 python benchmarks/object_storage.py --data photos/cats-vs-dogs/train --rounds 3

Seconds are those of the CPU in this process: what one core does where the storage answers at once. The stand-in (moto)
is a process of its own, whose seconds are not counted. What is packed was checked before. What is read is read to its
bytes, or to the crops of a training; a shuffle buffer holds one image. All places are read in turn, and medians are
printed. Without --data: photo-like images of 512x384.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import photos

SHARD = 16  # MB


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    """The address of an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    settings = dict.fromkeys(keys, "us-east-1") | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    try:
        with mock.patch.dict(os.environ, settings):
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.1)
            import fsspec

            fsspec.filesystem("s3").mkdir("bucket")
            yield "s3://bucket"
    finally:
        server.terminate()
        server.wait()


def pack(folder: Path, place: str, form: str) -> float:
    """Seconds."""
    from hf_imgcls.api import PackOptions, pack_data

    start = time.process_time()
    pack_data(folder, [], PackOptions(place, form, SHARD))
    return time.process_time() - start


def read(path: str, labels: list[str], crops: bool) -> float:
    """Seconds of a pass over the training images of a stream, without workers, its opening left out."""
    from hf_imgcls.data import attach_transform, load_data
    from hf_imgcls.images import TrainTransform
    from hf_imgcls.recipe import DataSection

    section = DataSection(path=path, streaming=True, label_names=labels, shuffle_buffer=1)
    stream = load_data(section).splits["train"]
    if crops:
        from transformers import ViTImageProcessor

        transform = TrainTransform(["RandomResizedCrop"], ViTImageProcessor(), range(len(labels)), seed=0)
        stream = attach_transform(stream, transform)
    start = time.process_time()
    for _ in stream:
        pass
    return time.process_time() - start


def measure(folder: Path, images: int, rounds: int) -> dict[str, list[float]]:
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir())
    seconds: dict[str, list[float]] = {}

    def note(what: str, took: float) -> None:
        seconds.setdefault(what, []).append(took)
        print(f"{what}: {took:.2f} s, {images / took:,.0f} images/s", flush=True)

    with tempfile.TemporaryDirectory() as here, stand_in() as bucket:
        pack(folder, f"{here}/checked", "parquet")  # by several processes; the verdicts are cached
        for number in range(rounds):
            for form in ("parquet", "tar"):
                for name, root in (("a folder", here), ("the stand-in", bucket)):
                    note(f"pack, {form} into {name}", pack(folder, f"{root}/{form}-{number}", form))
        for crops in (False, True):
            what = "crops" if crops else "bytes"
            for _ in range(rounds):
                note(f"read {what}, class folders", read(str(folder), labels, crops))
                for form in ("parquet", "tar"):
                    for name, root in (("a folder", here), ("the stand-in", bucket)):
                        note(f"read {what}, {form} from {name}", read(f"{root}/{form}-0", labels, crops))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders")
    parser.add_argument("--images", type=int, default=400, help="without --data")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["HF_DATASETS_CACHE"] = f"{place}/cache"  # the check is to read the images
        folder = options.data or Path(place, "photos")
        if options.data is None:
            photos.make_folder(folder, photos.SIZES["512x384"], options.images)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        seconds = measure(folder, len(paths), options.rounds)
        size = sum(path.stat().st_size for path in paths)
        print(f"\n{photos.describe(paths)}; medians of {options.rounds} rounds")
        for what, took in seconds.items():
            median = statistics.median(took)
            print(f"{what}: {len(paths) / median:,.0f} images/s, {size / median / 1e6:,.0f} MB/s")


if __name__ == "__main__":
    main()
