"""Training on a GPU: ours, and timm's loader with the loop of its training script, on the same images and network.

    python benchmarks/against_timm.py --model vit

8,000 JPEGs of 512x384 (200 different ones, hard links: read and decoded each time) in 100 classes, RandomResizedCrop
and flip, batches of 128 at 224 pixels, bf16, AdamW. Each side is a process of its own; printed are images per second in
the steady state, of ours also the model alone (the limit) and the data path alone, and the peak of the GPU's memory.

Without a GPU the same runs at a small size on the CPU, to see that it works: its rates say nothing
about a GPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from gpu_training import BATCH, GPU, SIDE, VIT, make_images

MODELS = {"vit": ("vit", "vit_base_patch16_224"), "resnet50": ("timm/resnet50", "resnet50")}


def ours(folder: Path, model: str, steps: int, workers: int) -> dict:
    from hf_imgcls.api import measure_recipe

    architecture = MODELS[model][0]
    config = VIT if model == "vit" else {}
    found = measure_recipe(
        {
            "data": {"path": str(folder)},
            "model": {"architecture": architecture, "from_scratch": True, "image_size": SIDE, "config": config},
            "augmentation": {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]},
            "training": {
                "output_dir": "none",
                "per_device_train_batch_size": BATCH,
                "dataloader_num_workers": workers,
            },
        },
        steps=steps,
    )
    memory = found["processes"][0]["gpu_memory"]
    return {"rate": found["both"], "limit": found["model"], "data": found["data"], "memory": memory}


def timms(folder: Path, model: str, steps: int, workers: int) -> dict:
    import timm
    from timm.data import create_dataset, create_loader

    device = torch.device("cuda" if GPU else "cpu")
    layout = torch.channels_last if model == "resnet50" else torch.contiguous_format
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.benchmark = True
    rows = create_dataset("", root=str(folder), split="train", is_training=True, batch_size=BATCH)
    loader = create_loader(
        rows, (3, SIDE, SIDE), BATCH, is_training=True, use_prefetcher=GPU, color_jitter=0.0, hflip=0.5,
        num_workers=workers, device=device, persistent_workers=False,
    )  # fmt: skip
    size = {"img_size": SIDE} if model == "vit" else {}
    network = timm.create_model(MODELS[model][1], num_classes=100, **size).to(device, memory_format=layout).train()
    optimizer, warm, done = torch.optim.AdamW(network.parameters(), 1e-4, fused=GPU), max(5, 3 * workers), 0
    while True:
        for images, labels in loader:
            with torch.autocast(device.type, torch.bfloat16, enabled=GPU):
                loss = torch.nn.functional.cross_entropy(network(images.contiguous(memory_format=layout)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done in (warm, warm + steps) and GPU:
                torch.cuda.synchronize()
            if done == warm:
                begun = time.perf_counter()
            elif done == warm + steps:
                return {"rate": BATCH * steps / (time.perf_counter() - begun)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="vit")
    parser.add_argument("--steps", type=int, default=60 if GPU else 2)
    parser.add_argument("--workers", type=int, default=15 if GPU else 0)
    parser.add_argument("--side", choices=["ours", "timm"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure = ours if options.side == "ours" else timms
        print(json.dumps(measure(options.folder, options.model, options.steps, options.workers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), 200 if GPU else 24, 40 if GPU else 2)
        rates = {}
        for side in ("ours", "timm"):
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rates[side] = found["rate"]
            print(side, found)
    print(f"{options.model}: {rates['ours'] / rates['timm']:.2f} times timm")


if __name__ == "__main__":
    main()
