"""How many training crops a second one core makes of JPEG files: hf_imgcls against what users do otherwise.

    python benchmarks/training_crops.py --rounds 7
    python benchmarks/training_crops.py --data FOLDER_OF_CLASS_FOLDERS --rounds 7

Every side reads the same files as its users would, cuts a part out (RandomResizedCrop to 224 pixels), mirrors half of
them and makes batches of 8 (the Trainer's default), without workers. The sides run in turn, every round; measured is
the CPU time of the one thread, which other work on the machine does not increase. The files are in the page cache.
Without --data: photo-like images of two sizes, JPEG quality 90 (benchmarks/photos.py).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import datasets
import timm.data
import torch
from photos import SIZES, describe, make_folder
from PIL import Image
from torch.utils.data import DataLoader, default_collate
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from transformers import DefaultDataCollator, ViTImageProcessor

from hf_imgcls.data.rows import entry, load_entries
from hf_imgcls.images.transforms import TrainTransform

SIDE, BATCH = 224, 8
MEAN = STD = [0.5, 0.5, 0.5]
Pass = Callable[[], object]  # reads every image once


def our_batches(folder: Path) -> tuple[DataLoader, TrainTransform]:
    listed = load_entries(entry(str(path), path.name, path.parent.name) for path in sorted(folder.glob("*/*")))
    rows = listed.select_columns(["image"]).add_column("label", [0] * len(listed))
    rows = rows.add_column("row", range(len(listed)))
    training = TrainTransform(["RandomResizedCrop", "RandomHorizontalFlip"], ViTImageProcessor(), [0], seed=0)
    return DataLoader(rows.with_transform(training), BATCH, collate_fn=DefaultDataCollator()), training


def ours(folder: Path) -> Pass:
    """What reaches the device: uint8."""
    loader, _ = our_batches(folder)
    return lambda: list(loader)


def ours_normalized(folder: Path) -> Pass:
    """With what the trainer then does on the device, on this core."""
    loader, training = our_batches(folder)
    return lambda: [batch["pixel_values"].float() * training.scale + training.shift for batch in loader]


def their_transforms() -> transforms.Compose:
    """Those of the guide and of the example script of transformers, on PIL images."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def guide(folder: Path) -> Pass:
    """The image classification guide of transformers, with the flip of its example script."""
    steps = their_transforms()

    def transform(examples):
        examples["pixel_values"] = [steps(image.convert("RGB")) for image in examples["image"]]
        del examples["image"]
        return examples

    rows = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train").with_transform(transform)
    loader = DataLoader(rows, BATCH, collate_fn=DefaultDataCollator())
    return lambda: list(loader)


def example_script(folder: Path) -> Pass:
    """run_image_classification.py of transformers: the images stay in the batch, and its own collate function."""
    steps = their_transforms()

    def transform(batch):
        batch["pixel_values"] = [steps(image.convert("RGB")) for image in batch["image"]]
        return batch

    def collate(examples):
        labels = torch.tensor([example["label"] for example in examples])
        return {"pixel_values": torch.stack([example["pixel_values"] for example in examples]), "labels": labels}

    rows = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train")
    rows.set_transform(transform)
    loader = DataLoader(rows, BATCH, collate_fn=collate)
    return lambda: list(loader)


def timm_loader(folder: Path) -> Pass:
    """timm's folder reader, training transform and loader; without its colour jitter, which no other side has."""
    rows = timm.data.create_dataset("", root=str(folder))
    loader = timm.data.create_loader(
        rows,
        (3, SIDE, SIDE),
        BATCH,
        is_training=True,
        color_jitter=None,
        mean=MEAN,
        std=STD,
        num_workers=0,
        persistent_workers=False,
        device=torch.device("cpu"),
    )
    return lambda: list(loader)


def torchvision_reference(folder: Path) -> Pass:
    """The classification presets of torchvision's references, their default backend, PIL."""
    steps = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(MEAN, STD),
            v2.ToPureTensor(),
        ]
    )
    loader = DataLoader(ImageFolder(str(folder), steps), BATCH, collate_fn=default_collate)
    return lambda: list(loader)


def decode_alone(folder: Path) -> Pass:
    """The limit: every file decoded by Pillow, at full size if that is small, else at one eighth."""

    def decode() -> None:
        for path in folder.glob("*/*"):
            with Image.open(path) as image:
                if min(image.size) >= 8 * SIDE:
                    image.draft(None, (image.width // 8, image.height // 8))
                image.load()

    return decode


SIDES = {
    "hf_imgcls": ours,
    "hf_imgcls, normalised": ours_normalized,
    "the guide": guide,
    "the example script": example_script,
    "timm's loader": timm_loader,
    "torchvision's reference": torchvision_reference,
    "decoding alone": decode_alone,
}


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Median images per second of CPU time, by side."""
    count = len(list(folder.glob("*/*")))
    passes = {name: side(folder) for name, side in SIDES.items()}
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds + 1):
        for name, run in passes.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: count / statistics.median(taken[1:]) for name, taken in seconds.items()}  # the first warms up


def show(title: str, speeds: dict[str, float], other: str = "the guide") -> None:
    print(f"\n{title}")
    for name, speed in speeds.items():
        print(f"  {name:24} {speed:8.1f} images per second   x{speed / speeds[other]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder of class folders of JPEGs, instead of made images")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=64, help="of 512x384; an eighth as many of 12 megapixels")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ["HF_DATASETS_CACHE"] = place
        if options.data:
            show(describe(sorted(options.data.glob("*/*"))), measure(options.data, options.rounds))
            return
        for (name, size), count in zip(SIZES.items(), (options.images, options.images // 8), strict=True):
            paths = make_folder(Path(place, name), size, count)
            show(describe(paths), measure(Path(place, name), options.rounds))


if __name__ == "__main__":
    main()
