"""A run and its exports side by side on a CPU: images a second, accuracy, size.

    python benchmarks/export_formats.py RUN ... --exports FOLDER --rounds 7

Each RUN is exported as ONNX and for OpenVINO, with int8 (exports that FOLDER has already are taken as they are).
Accuracy and agreement with torch are those on all images that the run was evaluated on. The rate is that of the network
alone, on the first of these images, which lie ready in memory: every round has all sides in turn, and the median of the
rounds is printed with their range. torch is the network as `predict` runs it (channels last, batch norms folded).
"bfloat16" is what OpenVINO computes on a CPU that has it, unless told otherwise. The load of the machine is printed
before each round: other work shows there, and less in the images for a second of the CPU, which are printed too.
"""

import argparse
import os
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from hf_imgcls.api import ExportOptions, export_model
from hf_imgcls.images import process_image, read_image
from hf_imgcls.serving import evaluation_images, open_classifier
from hf_imgcls.serving.openvino import session


def export(run: Path, place: Path) -> dict[str, Path]:
    """Folders of the sides that are exports."""
    folders = {}
    for name, format in (("ONNX", "onnx"), ("OpenVINO", "openvino")):
        folder = place / f"{run.parent.name}-{run.name}-{format}"
        if not folder.exists():
            export_model(str(run), folder, ExportOptions(quantize=True, format=format))
        folders |= {name: folder, f"{name} int8": folder / "int8"}
    return folders


def open_sides(run: Path, folders: dict[str, Path]) -> dict:
    sides = {"torch": open_classifier(str(run))}
    sides |= {name: open_classifier(str(folder)) for name, folder in folders.items()}
    with patch.dict(session.PRECISION, clear=True):
        sides |= {f"{name} bfloat16": open_classifier(str(folders[name])) for name in ("OpenVINO", "OpenVINO int8")}
    return sides


def measure_rates(sides: dict, pixels: torch.Tensor, size: int, rounds: int) -> dict[str, np.ndarray]:
    """Images a second, and for a second of the CPU, shape (rounds, 2), of each side."""
    rates: dict[str, list] = {name: [] for name in sides}
    for classifier in sides.values():
        classifier.logits(pixels[:size])  # each prepares itself for this size of a batch
    for number in range(rounds):
        print(f"batches of {size}, round {number + 1}, load {os.getloadavg()[0]:.1f}", flush=True)
        for name in sorted(sides, reverse=number % 2 == 1):
            begun, used = time.perf_counter(), time.process_time()
            for batch in pixels.split(size):
                sides[name].logits(batch)
            seconds = np.array([time.perf_counter() - begun, time.process_time() - used])
            rates[name].append(len(pixels) / seconds)
    return {name: np.stack(found) for name, found in rates.items()}


def describe_rates(found: np.ndarray, base: np.ndarray) -> str:
    middle, ratio = np.median(found, axis=0), np.median(found / base, axis=0)
    low, high = found[:, 0].min(), found[:, 0].max()
    return (
        f"{middle[0]:.1f} ({low:.1f} to {high:.1f}), {ratio[0]:.2f} times ONNX; "
        f"for a second of the CPU {middle[1]:.1f}, {ratio[1]:.2f} times"
    )


def megabytes_of(folder: Path) -> float:
    kept = ("model.safetensors", "model.onnx", "model.onnx.data", "model.xml", "model.bin")
    return sum((folder / name).stat().st_size for name in kept if (folder / name).exists()) / 1e6


def measure(run: Path, options: argparse.Namespace) -> None:
    folders = export(run, options.exports)
    sides = open_sides(run, folders)
    ours = sides["torch"]
    images = evaluation_images(str(run), ours.labels)
    rows = [images.rows[i] for i in range(options.images if options.rates_alone else len(images.rows))]
    pixels = torch.stack([process_image(ours.processor, read_image(row["image"])) for row in rows])
    some = pixels[: options.images]
    rates = {size: measure_rates(sides, some, size, options.rounds) for size in options.batch_sizes}
    print(f"\n{run}: rates on {len(some)} images, medians of {options.rounds} rounds")
    if not options.rates_alone:
        describe_predictions(sides, pixels, images.labels, images.split)
    for name in sides:
        folder = run if name == "torch" else folders[name.replace(" bfloat16", "")]
        print(f"{name}, {megabytes_of(folder):.1f} MB, images a second:")
        for size, each in rates.items():
            print(f"    batches of {size}: {describe_rates(each[name], each['ONNX'])}", flush=True)


def describe_predictions(sides: dict, pixels: torch.Tensor, labels: np.ndarray, split: str) -> None:
    """Accuracy, and agreement with torch, on images of shape (images, 3, h, w)."""
    print(f"{len(labels)} {split} images")
    logits = {}
    for name, side in sides.items():
        logits[name] = np.concatenate([side.logits(batch).numpy() for batch in pixels.split(4)])
        best, ours = logits[name].argmax(axis=1), logits["torch"].argmax(axis=1)
        scores = np.abs(side.to_scores(logits[name]) - side.to_scores(logits["torch"])).max()
        print(
            f"{name}: accuracy {np.mean(best == labels):.4f}, agreement {np.mean(best == ours):.4f}, "
            f"probability off by at most {scores:.1e}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--exports", type=Path, required=True, help="a folder for the exports, which stay in it")
    parser.add_argument("--images", type=int, default=48, help="for the rates")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rates-alone", action="store_true", help="no accuracy, which export.json has too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for run in options.runs:
        measure(run, options)


if __name__ == "__main__":
    main()
