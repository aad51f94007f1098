"""Damage every file that a resumed run reads, one at a time, and start it again.

    python benchmarks/reliability/damage.py

A run of two stages is killed in the second with two checkpoints written. Each file of the newest checkpoint, of the
first stage, of the run itself and of the caches is halved, deleted, zeroed, emptied, or has one bit turned. Allowed are
the result of the run that nobody touched, or a refusal in one line.
"""

import collections
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import warm
from outcome import differences, outcome

_SAME, _REFUSED, _OTHER, _TRACEBACK = "same result", "refused in one line", "OTHER RESULT", "TRACEBACK"


def _half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _empty(file: Path) -> None:
    os.truncate(file, 0)


def _turn_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


WAYS: dict[str, Callable[[Path], None]] = {
    "half": _half, "deleted": Path.unlink, "zeros": _zero, "empty": _empty, "bit": _turn_bit,
}  # fmt: skip


def make_recipe(images: Path) -> dict:
    network = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    head = {"train": "head", "cache_features": True, "augmentation": {}, "training": {"num_train_epochs": 2}}
    return {
        "data": {"path": str(images), "validation_fraction": 0.3},
        "model": {"architecture": "resnet", "from_scratch": True, "image_size": 24, "config": network},
        "augmentation": {"train": ["Resize", "RandomHorizontalFlip"]},
        "stages": [head, {"train": "all", "training": {"num_train_epochs": 5}}],
        "training": {
            "output_dir": "run", "per_device_train_batch_size": 16, "dataloader_num_workers": 0, "seed": 3,
            "logging_steps": 2, "learning_rate": 1e-3, "disable_tqdm": True,
        },
    }  # fmt: skip


def interrupted(command: list[str], folder: Path) -> None:
    """Leave a run that was killed with two whole checkpoints in its second stage."""
    folder.mkdir()

    def two_checkpoints() -> bool:
        return len(list(folder.glob("run/stage-2/checkpoint-*[0-9]/manifest.json"))) >= 2

    if warm.watch(warm.start(command, folder), two_checkpoints) != "killed":
        raise SystemExit(f"the run was not killed in time\n{warm.printed(folder)}")
    (folder / "out.txt").unlink()


def files_of_run(folder: Path) -> list[Path]:
    """What a resumed run may read, relative to its folder."""
    newest = max(folder.glob("run/stage-2/checkpoint-*[0-9]"), key=lambda path: int(path.name.split("-")[1]))
    found = [*newest.rglob("*"), *folder.glob("run/stage-1/*"), *folder.glob("run/*")]
    return sorted(file.relative_to(folder) for file in found if file.is_file())


def judge(command: list[str], folder: Path, cache: Path, whole: dict) -> tuple[str, str]:
    """A verdict, and what it rests on."""
    status = warm.wait(warm.start(command, folder, cache), 200)
    if warm.has_traceback(folder):
        return _TRACEBACK, warm.last_line(folder)
    if status:
        return (_REFUSED if status in (1, 2) else f"STATUS {status}"), warm.last_line(folder)
    wrong = differences(whole, outcome(folder / "run"))
    notes = [line for line in warm.printed(folder).splitlines() if "checkpoint-" in line and "selected" not in line]
    return (_OTHER, str(wrong)) if wrong else (_SAME, " | ".join(notes)[:200])


def trials(work: Path, only: str) -> Iterator[tuple[str, Path, Path]]:
    """Name, run folder and cache of each trial, ready and damaged."""
    for file in files_of_run(work / "killed"):
        for way, damage in WAYS.items():
            if only in (name := f"{file} {way}"):
                folder, cache = _copy(work / "killed", work / "trial"), work / "killed" / "cache"
                damage(folder / file)
                yield name, folder, cache
    for file in sorted((work / "whole" / "cache" / "datasets").rglob("*")):
        if file.is_file() and not file.name.endswith(".lock"):
            for way, damage in WAYS.items():
                relative = file.relative_to(work / "whole" / "cache")
                if only in (name := f"cache: {relative} {way}"):
                    cache, folder = _copy(work / "whole" / "cache", work / "trial-cache"), work / "trial"
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir()
                    damage(cache / relative)
                    yield name, folder, cache


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    return shutil.copytree(source, target)


def main() -> int:
    options = warm.work_folder(__doc__)
    work = options.work
    recipe = work / "recipe.json"
    recipe.write_text(json.dumps(make_recipe(warm.make_images(work / "images", 3, 30))))
    command = ["train", str(recipe)]
    warm.import_all(command, work / "whole")
    whole = outcome(work / "whole" / "run")
    interrupted(command, work / "killed")
    counted: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for name, folder, cache in trials(work, options.only):
        verdict, detail = judge(command, folder, cache, whole)
        counted["caches" if name.startswith("cache") else "run"][verdict] += 1
        print(f"{verdict:20} {name:70} {detail}", flush=True)
    for part, verdicts in counted.items():
        print(f"{part}: {sum(verdicts.values())} tried; {dict(verdicts)}")
    return int(any(v not in (_SAME, _REFUSED) for verdicts in counted.values() for v in verdicts))


if __name__ == "__main__":
    sys.exit(main())
