"""What LoRA trains and needs beside training all weights: fraction of parameters, peak memory, images a second.

    python benchmarks/lora_memory.py --architecture vit --batch-size 16 --rounds 3

The ways in turn, each a process of its own: a network with random weights (which change nothing about memory) on
generated images, a few steps without evaluation or checkpoints. The peak is that of the process's resident memory, with
what a process needs that trains the head alone beside it; on a GPU that of what torch has allocated there
(`torch.cuda.max_memory_allocated`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from startup import make_folder

RUN = """
import json, resource, sys
import torch
from hf_imgcls import train_classifier
results = train_classifier(json.loads(sys.argv[1]))
on_gpu = torch.cuda.is_available()
peak = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stage = results["stages"][0]
images = stage["steps"] * int(sys.argv[2])
print(json.dumps({"peak": peak / 2**20, "trained": stage["trained_parameters"], "of": stage["parameters"],
                  "images/s": images / stage["seconds"]}))
"""
WAYS = {"head": "head", "LoRA": {"lora": {"rank": 16}}, "all": "all"}


def recipe(folder: Path, output: Path, way: str, options: argparse.Namespace) -> dict:
    return {
        "data": {"path": str(folder), "validation_fraction": 0},
        "model": {"architecture": options.architecture, "from_scratch": True, "image_size": options.image_size},
        "stages": [{"train": WAYS[way]}],
        "training": {
            "output_dir": str(output),
            "max_steps": options.steps,
            "per_device_train_batch_size": options.batch_size,
            "gradient_checkpointing": options.gradient_checkpointing,
            "save_strategy": "no",
            "dataloader_num_workers": 0,
            "disable_tqdm": True,
        },
    }


def measure(content: dict, batch_size: int, cache: Path) -> dict[str, float]:
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment = {**os.environ, "HF_HOME": str(cache), "HF_DATASETS_CACHE": str(cache / "datasets"), **quiet}
    command = [sys.executable, "-c", RUN, json.dumps(content), str(batch_size)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="vit", help="of transformers, or timm/NAME")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--gradient-checkpointing", action="store_true")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        make_folder(folder, options.batch_size * options.steps)
        for number in range(options.rounds):
            for way in WAYS:
                content = recipe(folder, Path(place, f"{way}-{number}"), way, options)
                found[way].append(measure(content, options.batch_size, Path(place, "cache")))
    least = statistics.median(each["peak"] for each in found["head"])
    for way, rounds in found.items():
        peak, speed = (statistics.median(each[key] for each in rounds) for key in ("peak", "images/s"))
        trained, of = rounds[0]["trained"], rounds[0]["of"]
        print(
            f"{way:>5}: trains {trained:,} of {of:,} ({trained / of:.2%}), peak {peak:,.0f} MB ({peak - least:,.0f} "
            f"more than the head alone), {speed:.2f} images/s"
        )


if __name__ == "__main__":
    main()
