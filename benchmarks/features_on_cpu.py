"""Features of a frozen backbone on a CPU: one process a core in the training's precision, against one process.

    python benchmarks/features_on_cpu.py --data FOLDER --checkpoint FOLDER ... --images 600 --rounds 3

The other side is a plain loop in this process, with all threads and in float32, over the same rows with the same image
processor. Printed are images per second, reading the images included, medians of rounds in which all sides take turns.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import DefaultDataCollator, TrainingArguments

from hf_imgcls.data import attach_transform, load_data
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.models import channels_last, head_module, in_evaluation, input_of_head, load_network
from hf_imgcls.recipe import load_recipe
from hf_imgcls.training.extraction import extract_features


def plain(model, head, rows, batch: int, half: bool) -> int:
    images = 0
    with in_evaluation(model), torch.autocast("cpu", torch.bfloat16, enabled=half):
        for each in DataLoader(rows, batch, collate_fn=DefaultDataCollator()):
            images += len(input_of_head(model, head, each["pixel_values"]))
    return images


def ours(model, head, rows, transform, half: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, use_cpu=True, bf16=half, per_device_eval_batch_size=16)
        return sum(len(each["labels"]) for each in extract_features(model, head, rows, transform, arguments))


def measure(options: argparse.Namespace, checkpoint: Path) -> None:
    section = load_recipe(
        {
            "data": {"path": str(options.data), "max_samples": {"train": options.images}},
            "model": {"checkpoint": str(checkpoint)},
            "training": {"output_dir": "none"},
        }
    ).data
    model, processor = load_network(str(checkpoint))
    size = input_size(processor)
    channels_last(model, size)
    head, transform = head_module(model, size), EvalTransform(processor, range(1000))
    rows = attach_transform(load_data(section).splits["train"], transform)
    sides = {
        "one process, float32": lambda: plain(model, head, rows, 16, half=False),
        "one process, bf16": lambda: plain(model, head, rows, 16, half=True),
        "process a core, float32": lambda: ours(model, head, rows, transform, half=False),
        "process a core, bf16": lambda: ours(model, head, rows, transform, half=True),
    }
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side in sorted(sides, reverse=number % 2 == 1):
            begun = time.perf_counter()
            images = sides[side]()
            found[side].append(images / (time.perf_counter() - begun))
    base = found["one process, float32"]
    for side, rates in found.items():
        ratio = statistics.median(one / other for one, other in zip(rates, base, strict=True))
        print(f"{checkpoint.name}: {side}: {statistics.median(rates):.1f} images/s, {ratio:.2f} times", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, nargs="+", required=True)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for checkpoint in options.checkpoint:
        measure(options, checkpoint)


if __name__ == "__main__":
    main()
