"""Training on a GPU beside its limit, the same model on synthetic batches; and predicting beside `pipeline`.

    python benchmarks/gpu_training.py --rounds 3

ViT-B/16 from its configuration at 224 pixels, 100 classes, half precision, on a few hundred images that are repeated
(hard links: read and decoded each time). Every measurement is a process of its own, all of them in turn; printed are
medians of images per second, the peak of the GPU's memory, and ratios. The sides:

- limit: our training of one batch, on the device, over and over;
- ours, and ours compiled: a recipe with no setting about the machine;
- predict: ours, and `pipeline` on a list of paths, with its default and with larger batches.

Other trainers stand beside ours in `peers.py`. Without a GPU the same runs at a small size on the CPU, to see that it
works: its results say nothing about a GPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Before the libraries are imported: they read it once.
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")

import torch

GPU = torch.cuda.is_available()
CLASSES = 100 if GPU else 4
SIDE = 224 if GPU else 32
BATCH = 128 if GPU else 4
VIT = {} if GPU else {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SIDES = (
    "limit and ours", "limit and ours, compiled",
    "predict, ours", "predict, pipeline", "predict, pipeline in batches",
)  # fmt: skip


def make_images(folder: Path, count: int, repeat: int) -> None:
    """Photographs of 512x384 pixels in class folders, each of them under several names."""
    from photos import make_photo

    for number in range(count):
        place = folder / f"class_{number % CLASSES:03d}"
        place.mkdir(exist_ok=True)
        first = place / f"{number:05d}_0.jpg"
        make_photo((512, 384) if GPU else (96, 72), number).save(first, quality=90)
        for again in range(1, repeat):
            os.link(first, place / f"{number:05d}_{again}.jpg")


def recipe(folder: Path, compiled: bool) -> dict:
    return {
        "data": {"path": str(folder)},
        "model": {
            "architecture": "vit",
            "from_scratch": True,
            "image_size": SIDE,
            "config": VIT,
        },
        "augmentation": {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]},
        "training": {
            "output_dir": "none",
            "per_device_train_batch_size": BATCH,
            "torch_compile": compiled,
        },
    }


def ours(folder: Path, steps: int, compiled: bool) -> dict[str, float]:
    from hf_imgcls.api.benchmark import measure_recipe

    found = measure_recipe(recipe(folder, compiled), steps=steps)
    print(found["machine"], file=sys.stderr)
    return {
        "limit": found["model"],
        "ours": found["both"],
        "data alone": found["data"],
        "memory": found["processes"][0]["gpu_memory"],
    }


def save_model(folder: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    ViTForImageClassification(ViTConfig(num_labels=CLASSES, image_size=SIDE, **VIT)).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)


def predict(folder: Path, model: Path, batch: int | None) -> dict[str, float]:
    """Images per second, the model's opening included and the imports not; `batch` for `pipeline`, 0 for ours."""
    paths = sorted(map(str, folder.rglob("*.jpg")))
    from transformers import pipeline

    from hf_imgcls.api.predict import predict_images
    from hf_imgcls.serving.open import PredictOptions

    begun = time.perf_counter()
    if batch == 0:
        with tempfile.TemporaryDirectory() as place:
            predict_images(str(model), [str(folder)], Path(place, "rows.csv"), PredictOptions(batch_size=BATCH))
    else:
        options = {"batch_size": batch, "num_workers": os.cpu_count()} if batch else {}
        list(pipeline("image-classification", str(model), device=0 if GPU else "cpu")(paths, **options))
    memory = torch.cuda.max_memory_allocated() // 2**20 if GPU else 0
    return {"rate": len(paths) / (time.perf_counter() - begun), "memory": memory}


def measure(side: str, place: Path, steps: int) -> dict[str, float]:
    folder = place / "photos"
    if side.startswith("limit"):
        return ours(folder, steps, "compiled" in side)
    return predict(folder, place / "model", 0 if "ours" in side else BATCH if "batches" in side else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60 if GPU else 4, help="that each training is measured over")
    parser.add_argument("--images", type=int, default=400 if GPU else 24)
    parser.add_argument("--repeat", type=int, default=40 if GPU else 2, help="names of each image")
    parser.add_argument("--sides", nargs="+", default=SIDES, choices=SIDES)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.place, options.steps)))
        return
    took: dict[str, list[dict[str, float]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as place:
        Path(place, "photos").mkdir()
        make_images(Path(place, "photos"), options.images, options.repeat)
        save_model(Path(place, "model"))
        for number in range(options.rounds):
            for side in took:
                found = in_a_process(side, Path(place), options.steps)
                took[side].append(found)
                print(f"round {number + 1}, {side}: {found}", flush=True)
    show({side: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]} for side, rounds in took.items()})


def in_a_process(side: str, place: Path, steps: int) -> dict[str, float]:
    environment = {**os.environ, "HF_HOME": str(place / "cache"), "HF_DATASETS_CACHE": str(place / "cache/datasets")}
    command = [sys.executable, __file__, "--side", side, "--place", str(place), "--steps", str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{side}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def show(medians: dict[str, dict[str, float]]) -> None:
    """The table, in Markdown."""
    name = torch.cuda.get_device_name() if GPU else "no GPU: the CPU at a small size; the row of a GPU is open"
    print(f"\n{name}; torch {torch.__version__}; batches of {BATCH}, {SIDE} pixels, {CLASSES} classes\n")
    print("| what | images per second | of the limit | MB on the GPU |\n|---|---|---|---|")
    for side, found in medians.items():
        if "limit" in found:
            kind = side.removeprefix("limit and ours")
            print(f"| synthetic batches{kind} (the limit) | {found['limit']:.1f} | | |")
            share = found["ours"] / found["limit"]
            print(f"| ours{kind} | {found['ours']:.1f} | {share:.1%} | {found['memory']:.0f} |")
            print(f"| our data path alone{kind} | {found['data alone']:.1f} | | |")
        else:
            print(f"| {side} | {found['rate']:.1f} | | {found['memory']:.0f} |")
    if "predict, ours" in medians:
        for other in ("predict, pipeline", "predict, pipeline in batches"):
            if other in medians:
                ratio = medians["predict, ours"]["rate"] / medians[other]["rate"]
                print(f"\npredict, ours is {ratio:.2f} times as fast as {other}")


if __name__ == "__main__":
    main()
