"""How long the predictions of a folder of photos take: `hf-imgcls predict` against `pipeline` over the list of files.

    python benchmarks/predict_folder.py --data FOLDER --checkpoint FOLDER --images 2000 --rounds 3

Both sides predict the same files in turn, each time in its own process. The clock starts after the imports and ends
with the last prediction; opening the model is counted, and on our side writing the CSV. `pipeline` gets the list and
its defaults (one image at a time; --pipeline-batch-size for others). The limit is the network alone on ready batches:
as `pipeline` has it, channels last, with batch norms folded as in `predict`, and then compiled where there is a
compiler. Both sides must predict the same label for every image. Without --data and --checkpoint: noise and a
MobileNetV2 with random weights.
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

PREPARE = """
import csv, json, shutil, sys, time, torch
from pathlib import Path
options = json.loads(sys.argv[1])
files = json.loads(Path(options["list"]).read_text())
def done(rates, labels=None):
    print(json.dumps([rates, labels]))
"""
OURS = """
from hf_imgcls.api import predict_images
from hf_imgcls.serving import PredictOptions
start = time.perf_counter()
predict_images(options["checkpoint"], files, Path(options["output"]), PredictOptions(top_k=1))
seconds = time.perf_counter() - start
rows = csv.DictReader(Path(options["output"]).open())
done(len(files) / seconds, [row["label_1"] for row in rows])
"""
THEIRS = """
from transformers import pipeline
start = time.perf_counter()
serve = pipeline("image-classification", model=options["checkpoint"], device=options["device"])
predictions = serve(files, batch_size=options["batch_size"])
done(len(files) / (time.perf_counter() - start), [prediction[0]["label"] for prediction in predictions])
"""
LIMIT = """
from transformers import AutoModelForImageClassification
from hf_imgcls.models.layout import fold_batch_norms
network = AutoModelForImageClassification.from_pretrained(options["checkpoint"]).eval().to(options["device"])
pixels = torch.randn(16, 3, 224, 224, device=options["device"])
def rate():
    with torch.inference_mode():
        network(pixel_values=pixels)
        start = time.perf_counter()
        for _ in range(6):
            network(pixel_values=pixels).logits.cpu()
    return 6 * len(pixels) / (time.perf_counter() - start)
rates = {"as it is": rate()}
network.to(memory_format=torch.channels_last)
pixels = pixels.contiguous(memory_format=torch.channels_last)
rates["channels last"] = rate()
fold_batch_norms(network, (224, 224))
rates["folded as well"] = rate()
if shutil.which("g++"):
    network = torch.compile(network)
    rates["compiled as well"] = rate()
done(rates)
"""


def make_photos(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for number in range(count):
        blots = Image.fromarray(random.integers(0, 256, (24, 32, 3), np.uint8))
        blots.resize((512, 384), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg", quality=90)


def make_checkpoint(folder: Path) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor

    MobileNetV2ForImageClassification(MobileNetV2Config(num_labels=100)).save_pretrained(folder)
    MobileNetV2ImageProcessor().save_pretrained(folder)


def run(script: str, options: dict):
    """What a side prints at its end, from a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", PREPARE + script, json.dumps(options)]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a folder with photos, at any depth")
    parser.add_argument("--checkpoint", help="a Hub id or a folder")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pipeline-batch-size", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="of pipeline and the limit; predict takes the best there is")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        if options.data is None:
            options.data = Path(place, "photos")
            options.data.mkdir()
            make_photos(options.data, options.images)
        if options.checkpoint is None:
            options.checkpoint = str(Path(place, "checkpoint"))
            make_checkpoint(Path(options.checkpoint))
        files = sorted(str(file) for file in options.data.rglob("*.jpg"))[: options.images]
        Path(place, "list.json").write_text(json.dumps(files))
        common = {
            "list": str(Path(place, "list.json")),
            "checkpoint": options.checkpoint,
            "device": options.device,
            "batch_size": options.pipeline_batch_size,
        }
        for number in range(options.rounds):
            ours, mine = run(OURS, {**common, "output": str(Path(place, f"{number}.csv"))})
            theirs, others = run(THEIRS, common)
            limits, _ = run(LIMIT, common)
            same = np.mean([one == other for one, other in zip(mine, others, strict=True)])
            for side, rate in {"predict": ours, "pipeline": theirs, **limits}.items():
                rates.setdefault(side, []).append(rate)
            shown = ", ".join(f"{side} {values[-1]:.1f}" for side, values in rates.items())
            print(f"round {number + 1}, images per second: {shown}; same label {same:.2%}", flush=True)
    print(f"\n{len(files)} images, medians of {options.rounds} rounds, images per second")
    for side, values in rates.items():
        print(f"{side}: {statistics.median(values):.1f}")
    print(f"ratio: {statistics.median(rates['predict']) / statistics.median(rates['pipeline']):.2f}")


if __name__ == "__main__":
    main()
