"""Training beside other trainers, the same network and photos: images a second, and time to an accuracy.

    python benchmarks/peers.py --data photos/cats-vs-dogs --network weights/deit-tiny-patch16-224 --rounds 3 \\
        --target 0.978 --fastai-python fastai/bin/python

The folder has train and validation with class folders. Every training is a process of its own with a cache of its own,
all trainers in turn in each round; printed are medians and ratios. Random crops and flips, AdamW without weight decay,
a rate that falls linearly, the same batch size. Peers:

- ours: with the workers and the precision that the others have; ours-defaults: no setting of the machine;
- ours-head: a whole run of a head solved on features (with a target alone);
- timm: its loader, and a plain loop; example: the transformers example's way, Trainer with PIL transforms in the
  dataset, without workers as its default is; example-workers: as many as the others have;
- fastai; ultralytics (rates of timm/resnet50 alone, since it has networks of its own). Where this environment does not
  have them, --fastai-python and --ultralytics-python name an interpreter that does.

Images a second: over --steps steps, after as many as workers may have read ahead, evaluation left out. On the photos
as they are, and on 12 megapixels: as many of them as --large says, enlarged with a little grain, so that a JPEG has a
photograph's bytes. Time to --target: seconds of training from the imports to the evaluation that reaches it, with the
reading of the folder; evaluations, after every --every steps, stand beside it. The seed is the number of the round.

On a CPU it runs at a small size: --network timm/resnet18 --pixels 64 --batch 4 --steps 2 --large 8 --images 40
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from enlarged import copy_photos, enlarge

_HERE = Path(__file__).parent / "trainers"
PEERS = {
    "ours": "ours.py", "ours-defaults": "ours.py", "ours-head": "ours.py", "timm": "timm_loop.py",
    "example": "example.py", "example-workers": "example.py", "fastai": "fastai_learner.py",
    "ultralytics": "ultralytics_trainer.py",
}  # fmt: skip
_GPU = torch.cuda.is_available()


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train and validation")
    add("--network", required=True, help="folder of a checkpoint of transformers, or timm/ARCHITECTURE from scratch")
    add("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    add("--rounds", type=int, default=3)
    add("--steps", type=int, default=60 if _GPU else 20, help="that a rate is measured over")
    add("--batch", type=int, default=128 if _GPU else 16)
    add("--pixels", type=int, default=224, help="of an architecture; a checkpoint has its own")
    add("--workers", type=int, default=min(15, max(1, (os.cpu_count() or 2) - 1)) if _GPU else 0)
    add("--precision", choices=["float32", "bf16", "fp16"], default="bf16" if _GPU else "float32")
    add("--device", choices=["cpu", "cuda"], default="cuda" if _GPU else "cpu")
    add("--threads", type=int, help="OMP_NUM_THREADS of every trainer")
    add("--images", type=int, help="the first so many photos of train, and of validation a third as many")
    add("--large", type=int, default=96, help="photos of 12 megapixels; 0 leaves them out (default: 96)")
    add("--target", type=float, help="validation accuracy to reach; without it rates alone")
    add("--target-alone", action="store_true", help="no rates")
    add("--epochs", type=int, default=3, help="in which the target is to be reached")
    add("--every", type=int, help="steps between evaluations (default: half an epoch)")
    add("--learning-rate", type=float, default=5e-5)
    add("--fastai-python", metavar="PYTHON", default=sys.executable)
    add("--ultralytics-python", metavar="PYTHON", default=sys.executable)
    return parser.parse_args()


def job_of(options: argparse.Namespace, folder: Path, weights: Path | None) -> dict:
    """What all trainers are asked, but for their name."""
    keys = ("network", "batch", "pixels", "workers", "precision", "device", "steps", "epochs", "learning_rate")
    job = {key: getattr(options, key) for key in keys}
    job |= {"folder": str(folder), "weights": weights and str(weights), "mean": [0.5] * 3, "std": [0.5] * 3}
    job["images"] = sum(1 for _ in (folder / "train").rglob("*.*"))
    job["every"] = options.every or -(-job["images"] // options.batch // 2) or 1
    place = Path(options.network)
    if place.is_dir():
        processor = json.loads((place / "preprocessor_config.json").read_text())
        size = processor.get("crop_size") or processor["size"]
        job |= {"mean": processor["image_mean"], "std": processor["image_std"], "network": str(place.resolve())}
        job["pixels"] = size["height"] if "height" in size else size["shortest_edge"]
    return job


def is_deit_tiny(file: Path) -> bool:
    """Whether it is the configuration of the one network whose weights can be laid out as timm has them."""
    config = json.loads(file.read_text()) if file.is_file() else {}
    return config.get("model_type") in ("vit", "deit") and (config["hidden_size"], config["patch_size"]) == (192, 16)


def why_not(peer: str, job: dict) -> str | None:
    """What keeps a peer from this job."""
    if peer == "ours-head" and not job["target"]:
        return "it has no steps to measure"
    if peer == "ours-head" and job["network"].startswith("timm/"):
        return "the features of a network from scratch are worth nothing"
    if peer == "ultralytics" and (job["network"] != "timm/resnet50" or job["target"]):
        return "it has networks and a schedule of its own; rates of timm/resnet50 alone"
    if peer == "example-workers" and not job["workers"]:
        return "without workers it is the example's default"
    return None


def measure(peer: str, job: dict, options: argparse.Namespace) -> dict | str:
    """The answer of a trainer in a process of its own; or the module that its interpreter lacks."""
    pythons = {"fastai": options.fastai_python, "ultralytics": options.ultralytics_python}
    with tempfile.TemporaryDirectory() as work:
        cache = {"HF_HOME": f"{work}/cache", "HF_DATASETS_CACHE": f"{work}/cache/datasets"}
        threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
        asked = json.dumps({**job, "peer": peer, "work": work})
        command = [pythons.get(peer, sys.executable), str(_HERE / PEERS[peer]), asked]
        done = subprocess.run(command, env={**os.environ, **cache, **threads}, capture_output=True, text=True)
    if missing := re.search(r"No module named '([\w.]+)'", done.stderr) if done.returncode else None:
        return missing[1]
    if done.returncode:
        raise SystemExit(f"{peer}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(what: str, key: str, job: dict, options: argparse.Namespace) -> None:
    """All peers in turn, in every round; then the table."""
    found: dict[str, list[dict]] = {}
    for peer in options.peers:
        if reason := why_not(peer, job):
            print(f"{peer}: left out: {reason}")
        else:
            found[peer] = []
    for number in range(options.rounds):
        for peer in list(found):
            answer = measure(peer, {**job, "seed": number + 1}, options)
            if isinstance(answer, str):
                print(f"{peer}: left out: there is no {answer}; an option names another interpreter")
                del found[peer]
                continue
            found[peer].append(answer)
            print(f"round {number + 1}, {what}, {peer}: {answer}", flush=True)
    show(what, key, found)


def show(what: str, key: str, found: dict[str, list[dict]]) -> None:
    """Medians, in Markdown; the ratio is that of ours to a peer, above 1 where ours is faster."""
    medians = {}
    for peer, answers in found.items():
        values = [answer[key] for answer in answers]
        medians[peer] = statistics.median(values) if values and None not in values else None
    unit = "images/s" if key == "rate" else "s of training"
    print(f"\n| {what} | {unit} | ours is faster | rounds | MB on the GPU |\n|---|---|---|---|---|")
    for peer, value in medians.items():
        ours, rounds = medians.get("ours"), ", ".join(str(each[key] and round(each[key], 1)) for each in found[peer])
        ratio = "" if not (ours and value) else f"{ours / value if key == 'rate' else value / ours:.2f}"
        memory = max((answer["memory"] for answer in found[peer]), default=0)
        print(f"| {peer} | {'not reached' if value is None else f'{value:.1f}'} | {ratio} | {rounds} | {memory} |")
    print(flush=True)


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory() as place:
        weights = None
        if is_deit_tiny(Path(options.network) / "config.json"):
            weights = Path(place, "timm")
            converter = Path(__file__).parent / "fit" / "deit_for_timm.py"
            subprocess.run([sys.executable, str(converter), options.network, str(weights)], check=True)
        given = copy_photos(options.data, Path(place, "given"), options.images)
        folders = {"photos as they are": given}
        if options.large and not options.target_alone:
            folders["12 megapixels"] = enlarge(given, Path(place, "large"), options.large)
        for what, folder in folders.items() if not options.target_alone else ():
            job = {**job_of(options, folder, weights), "target": None}
            compare(what, "rate", job, options)
        if options.target:
            job = {**job_of(options, given, weights), "target": options.target}
            compare(f"time to {options.target:g}", "seconds", job, options)


if __name__ == "__main__":
    main()
