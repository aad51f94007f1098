"""How long a head takes to train: on features computed once, against the frozen network in every epoch.

    python benchmarks/cached_features.py --data FOLDER --checkpoint FOLDER --epochs 20 --rounds 3

Both sides run the same recipe in turn, with and without `cache_features`, each time in its own process and with
an empty cache, so that computing the features once is counted. The clock runs while the stage trains, evaluations and
checkpoints of every epoch included; loading the data, scoring at the end and plotting are the same on both sides and
not counted. Without --data and --checkpoint: noisy images of three colours and a small ViT from scratch.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

RUN = """
import json, sys, time
from hf_imgcls.api import train
stages, seconds = train.train_stages, []
def timed(*args, **kwargs):
    start = time.perf_counter()
    outcome = stages(*args, **kwargs)
    seconds.append(time.perf_counter() - start)
    return outcome
train.train_stages = timed
results = train.train_classifier(json.loads(sys.argv[1]))
print(json.dumps([*seconds, results["scores"]]))
"""
SIDES = {"cached features": True, "frozen network": False}


def make_data(folder: Path, each: int = 200, side: int = 128) -> None:
    """Noise around three colours: train of `each` a class, validation of half as many."""
    random = np.random.default_rng(0)
    for split, count in {"train": each, "validation": each // 2}.items():
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 200, (side, side, 3), dtype=np.uint8)
                pixels[..., channel] += 30
                Image.fromarray(pixels).save(folder / split / name / f"{number:04d}.jpg")


def make_checkpoint(folder: Path) -> None:
    """A ViT of 6 layers for 128 pixels."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    config = ViTConfig(
        hidden_size=192, num_hidden_layers=6, num_attention_heads=3, intermediate_size=768, image_size=128
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 128, "width": 128}).save_pretrained(folder)


def recipe(options: argparse.Namespace, cached: bool, output: Path) -> dict:
    return {
        "data": {"path": str(options.data), "max_samples": options.max_samples},
        "model": {"checkpoint": str(options.checkpoint)},
        "stages": [{"train": "head", "cache_features": cached}],
        "training": {
            "output_dir": str(output),
            "num_train_epochs": options.epochs,
            "learning_rate": 1e-3,
            "per_device_train_batch_size": 32,
            "per_device_eval_batch_size": 32,
            "dataloader_num_workers": options.workers,
            "disable_tqdm": True,
        },
    }


def train(content: dict, cache: Path) -> tuple[float, float]:
    """Seconds of training and accuracy of validation, of one run in a fresh process."""
    environment = {
        **os.environ,
        "HF_DATASETS_CACHE": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    output = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(content)], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    seconds, scores = json.loads(output.splitlines()[-1])
    return seconds, scores["validation"]["accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="whatever data.path may be")
    parser.add_argument("--checkpoint", help="a Hub id or a folder")
    parser.add_argument("--max-samples", type=json.loads, default={}, help='as in a recipe: {"train": 500}')
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="dataloader_num_workers")
    options = parser.parse_args()
    measured: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as place:
        if options.data is None:
            options.data = Path(place, "photos")
            make_data(options.data)
        if options.checkpoint is None:
            options.checkpoint = Path(place, "checkpoint")
            make_checkpoint(options.checkpoint)
        for number in range(options.rounds):
            for side, cached in SIDES.items():
                own = Path(place, f"{number}_{cached}")
                measured[side].append(train(recipe(options, cached, own / "run"), own / "cache"))
                seconds, accuracy = measured[side][-1]
                print(f"round {number + 1}, {side}: {seconds:.1f} s, validation accuracy {accuracy:.3f}", flush=True)
    ours, theirs = (statistics.median(seconds for seconds, _ in measured[side]) for side in SIDES)
    print(f"\n{options.epochs} epochs of the head, medians of {options.rounds} rounds")
    print(f"cached features {ours:.1f} s, frozen network {theirs:.1f} s, {theirs / ours:.1f} times as long")


if __name__ == "__main__":
    main()
