"""Kill a run anywhere, start it again, and compare with a run that nobody killed.

    python benchmarks/reliability/kills.py --kind stages --workers 2 --kills 30

Half of the kills are spread over the time of a run, half over the files that it writes. Each kill is SIGKILL for the
run and its workers; with `processes`, a run of two, for one of them (and the other is given 30 s to end by itself).
"""

import json
import os
import random
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import warm
from outcome import differences, outcome

_NETWORK = {
    "architecture": "convnet", "from_scratch": True, "image_size": 24, "config": {"filters": [8, 16], "dropout": 0.3},
}  # fmt: skip
_CROPS = ["Resize", {"RandomAffine": {"degrees": 10, "translate": [0.1, 0.1]}}, "RandomHorizontalFlip"]


def make_recipe(kind: str, images: Path, workers: int) -> dict:
    """One of a single stage, of two (the first on cached features), of a stream, or for two processes."""
    recipe = {
        "data": {"path": str(images), "test_fraction": 0.2, "validation_fraction": 0.2},
        "model": _NETWORK,
        "augmentation": {"train": _CROPS, "mix": [{"MixUp": {"alpha": 0.2}}, "Identity"]},
        "training": {
            "output_dir": "run", "per_device_train_batch_size": 16, "dataloader_num_workers": workers, "seed": 3,
            "logging_steps": 5, "learning_rate": 1e-3, "num_train_epochs": 5, "disable_tqdm": True,
        },
    }  # fmt: skip
    if kind == "stages":
        head = {"train": "head", "cache_features": True, "augmentation": {}, "training": {"num_train_epochs": 3}}
        recipe["stages"] = [head, {"train": "all", "training": {"num_train_epochs": 4}}]
    elif kind == "stream":
        recipe["data"] = {"path": str(_shards(images)), "streaming": True, "shuffle_buffer": 50}
        training = recipe["training"]
        training |= {
            "max_steps": 50,
            "save_steps": 7,
            "eval_steps": 7,
            "eval_strategy": "steps",
            "save_strategy": "steps",
        }
        del training["num_train_epochs"]
    return recipe


def _shards(images: Path) -> Path:
    """The images in four parquet files of a training split, and one to validate on."""
    import datasets

    folder = images.with_name("shards")
    folder.mkdir(exist_ok=True)
    rows = datasets.load_dataset("imagefolder", data_dir=str(images), split="train").shuffle(seed=0)
    for number in range(4):
        rows.shard(5, number).to_parquet(folder / f"train-0000{number}-of-00004.parquet")
    rows.shard(5, 4).to_parquet(folder / "validation-00000-of-00001.parquet")
    return folder


def begin(folder: Path, recipe: Path, processes: int) -> list[int]:
    """Start a run in a folder; the process ids of its processes."""
    command = ["train", str(recipe)]
    if processes == 1:
        return [warm.start(command, folder)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    return [warm.start(command, folder, environment=shared | rank) for rank in ranks]


def finish(pids: list[int], moment: Callable[[], bool] = lambda: False, victim: int = 0) -> list:
    """Exit statuses; the victim is killed at the moment, and the others are given 30 s then."""
    statuses = {victim: warm.watch(pids[victim], moment)}
    seconds = 30 if statuses[victim] != 0 else 300
    return [statuses[i] if i in statuses else warm.wait(pid, seconds) for i, pid in enumerate(pids)]


def files_in(folder: Path) -> int:
    return sum(len(files) for place in ("run", "cache/datasets") for *_, files in os.walk(folder / place))


def trial(folder: Path, recipe: Path, processes: int, moment: Callable[[], bool], victim: int) -> list[list]:
    """Exit statuses of each start until the run is complete, at most three."""
    folder.mkdir()
    found = [finish(begin(folder, recipe, processes), moment, victim)]
    while any(found[-1]) and len(found) < 3:
        found.append(finish(begin(folder, recipe, processes)))
    return found


def set_up(description: str, trials: str):
    """The options of a script, one of which is the number of its trials; the recipe's file; the number of processes."""
    options = warm.work_folder(
        description,
        ("--kind", {"default": "stages", "choices": ["stage", "stages", "stream", "processes"]}),
        ("--workers", {"type": int, "default": 0}),
        (trials, {"type": int, "default": 30}),
    )
    images = warm.make_images(options.work / "images")
    recipe = options.work / "recipe.json"
    recipe.write_text(json.dumps(make_recipe(options.kind, images, options.workers)))
    warm.import_all(["train", str(recipe)], options.work / "first")
    return options, recipe, 2 if options.kind == "processes" else 1


def main() -> None:
    options, recipe, processes = set_up(__doc__, "--kills")
    work = options.work
    begun = time.monotonic()
    print("uninterrupted:", trial(work / "whole", recipe, processes, lambda: False, 0), flush=True)
    seconds, files, whole = time.monotonic() - begun, files_in(work / "whole"), outcome(work / "whole" / "run")
    trial(work / "again", recipe, processes, lambda: False, 0)
    again = differences(whole, outcome(work / "again" / "run"))
    print(f"{seconds:.1f} s, {files} files; a second uninterrupted run: {again or 'identical'}", flush=True)

    half, failed, killed = options.kills // 2, 0, 0
    moments = [("seconds", seconds * (i + 0.5) / half) for i in range(half)]
    moments += [("files", round(files * (i + 0.5) / half)) for i in range(options.kills - half)]
    random.Random(0).shuffle(moments)
    for number, (kind, value) in enumerate(moments):
        folder, start = work / f"kill-{number}", time.monotonic()
        late = (lambda v=value, s=start: time.monotonic() - s >= v) if kind == "seconds" else (
            lambda v=value, f=folder: files_in(f) >= v
        )  # fmt: skip
        statuses = trial(folder, recipe, processes, late, number % processes)
        killed += "killed" in statuses[0]
        wrong = ["never complete"] if any(statuses[-1]) else differences(whole, outcome(folder / "run"))
        wrong += ["hangs"] if any("hangs" in found for found in statuses) else []
        wrong += ["traceback"] if warm.has_traceback(folder) else []
        failed += bool(wrong)
        print("FAILED " if wrong else "ok     ", f"at {value:.1f} {kind}", statuses, wrong, flush=True)
        if not wrong:
            shutil.rmtree(folder)
    print(f"{options.kind}, {options.workers} workers: {killed} kills in {len(moments)} runs, {failed} failed ({work})")


if __name__ == "__main__":
    main()
