"""What a machine denies in the middle of a run: disks, rights, handles, memory, data that go away, a killed worker.

    sudo python benchmarks/reliability/denials.py       # mounts small file systems, which takes root

Allowed is one line with status 1 or 2 (or, where nothing depends on it, a complete run); after the cause is removed,
the same command has to finish.
"""

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import warm

_NOBODY = 65534


def _nothing(*_) -> None:
    pass


@dataclasses.dataclass
class Case:
    """A run in a folder of its own: what is prepared, what happens when, and what ends the trouble."""

    name: str
    prepare: Callable[[Path], None] = _nothing
    settings: tuple[str, ...] = ()
    before: Callable[[Path], None] = _nothing  # in the run's own process
    when: Callable[[Path], bool] | None = None
    happens: Callable[[Path, int], None] = _nothing
    mend: Callable[[Path], None] = _nothing
    each: int = 60
    mounts: tuple[str, ...] = ()


def _mount(size: str, place: str, options: str = "") -> Callable[[Path], None]:
    def mount(folder: Path) -> None:
        (folder / place).mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(folder / place)]
        subprocess.run(command, check=True)

    return mount


def _remount(place: str, options: str) -> Callable[[Path], None]:
    def remount(folder: Path) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder / place)], check=True)

    return remount


def _read_only(place: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        _mount("20m", place)(folder)
        _remount(place, "ro")(folder)

    return prepare


def _limit(kind: int, value: int) -> Callable[[Path], None]:
    return lambda folder: resource.setrlimit(kind, (value, value))


def _more_memory(megabytes: int) -> Callable[[Path], None]:
    def limit(folder: Path) -> None:
        most = psutil.Process().memory_info().vms + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    return limit


def _as_nobody(folder: Path) -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def _close_to_others(place: str) -> Callable[[Path], None]:
    def close(folder: Path) -> None:
        folder.chmod(0o777)
        (folder / "out.txt").touch(0o666)
        (folder / "out.txt").chmod(0o666)
        (folder / "cache").mkdir(exist_ok=True)
        (folder / "cache").chmod(0o777)
        (folder / place).mkdir(exist_ok=True)
        (folder / place).chmod(0o555)

    return close


def _checkpoint(folder: Path) -> bool:
    return any(folder.glob("run/checkpoint-*[0-9]"))


def _begun(folder: Path) -> bool:
    return (folder / "run" / "splits.json").exists()


def _truncate(folder: Path, pid: int) -> None:
    for file in (folder / "images" / "class0").iterdir():
        os.truncate(file, 60)


def _delete(folder: Path, pid: int) -> None:
    for file in sorted((folder / "images" / "class0").iterdir())[:30]:
        file.rename(folder / "taken" / file.name)


def _put_back(folder: Path) -> None:
    for file in (folder / "taken").iterdir():
        file.rename(folder / "images" / "class0" / file.name)


def _restore(folder: Path) -> None:
    shutil.rmtree(folder / "images")
    warm.make_images(folder / "images", 2, 60, 16)


def _kill_worker(folder: Path, pid: int) -> None:
    time.sleep(0.3)
    workers = psutil.Process(pid).children(recursive=True)
    if workers:
        workers[-1].kill()


_WORKERS = "training.dataloader_num_workers=2"
_GONE = {
    "when": _checkpoint,
    "happens": lambda folder, pid: (folder / "images").rename(folder / "gone"),
    "mend": lambda folder: (folder / "gone").rename(folder / "images"),
}
_LARGE = ("model.config.hidden_sizes=[64, 128]", "model.config.embedding_size=64", "model.config.depths=[2, 2]")
_FEATURES = (
    'stages=[{"train": "head", "cache_features": true, "augmentation": {}}]',
    "model.config.hidden_sizes=[64, 512]",
)
_MEMORY = (*_LARGE, "model.image_size=224", "training.per_device_train_batch_size=64")

CASES = [
    *(
        Case(f"output disk of {size}", _mount(size, "run"), _LARGE, mend=_remount("run", "size=300m"), mounts=("run",))
        for size in ("64k", "3m", "6m", "14m", "21m", "25m", "29m")
    ),
    *(
        Case(f"cache disk of {size}", _mount(size, "cache"), mend=_remount("cache", "size=300m"), mounts=("cache",))
        for size in ("4k", "32k", "64k")
    ),
    Case(
        "cache disk, features",
        _mount("96k", "cache"),
        _FEATURES,
        mend=_remount("cache", "size=300m"),
        mounts=("cache",),
    ),
    Case("output read-only", _read_only("run"), mend=_remount("run", "rw"), mounts=("run",)),
    Case(
        "output's parent read-only",
        _read_only("o"),
        ("training.output_dir=o/x/run",),
        mend=_remount("o", "rw"),
        mounts=("o",),
    ),
    Case("cache read-only", _read_only("cache"), mend=_remount("cache", "rw"), mounts=("cache",)),
    Case("output without rights", _close_to_others("run"), before=_as_nobody, mend=lambda d: (d / "run").chmod(0o777)),
    Case(
        "cache without rights", _close_to_others("cache"), before=_as_nobody, mend=lambda d: (d / "cache").chmod(0o777)
    ),
    Case(
        "output under a file",
        lambda d: (d / "f").write_text("x"),
        ("training.output_dir=f/run",),
        mend=lambda d: (d / "f").unlink(),
    ),
    *(
        Case(
            f"{number} handles, {workers} workers",
            before=_limit(resource.RLIMIT_NOFILE, number),
            settings=(f"training.dataloader_num_workers={workers}",),
        )
        for number, workers in ((64, 2), (40, 2), (24, 0))
    ),
    Case("files of at most 1 MB", settings=_LARGE, before=_limit(resource.RLIMIT_FSIZE, 1 << 20)),
    Case("data folder vanishes", **_GONE),
    Case("data folder vanishes, workers", settings=(_WORKERS,), **_GONE),
    Case("images truncated", when=_begun, happens=_truncate, mend=_restore),
    Case("images truncated, workers", settings=(_WORKERS,), when=_begun, happens=_truncate, mend=_restore),
    Case("images deleted", lambda d: (d / "taken").mkdir(), when=_begun, happens=_delete, mend=_put_back),
    Case(
        "worker killed",
        settings=(_WORKERS, "training.num_train_epochs=12"),
        when=_checkpoint,
        happens=_kill_worker,
        each=200,
    ),
    Case("memory of 3.5 GB", before=_limit(resource.RLIMIT_AS, 7 << 29)),
    Case("300 MB more", settings=_MEMORY, before=_more_memory(300)),
]


def make_recipe(images: Path) -> dict:
    network = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    return {
        "data": {"path": str(images), "test_fraction": 0.2},
        "model": {"architecture": "resnet", "from_scratch": True, "image_size": 16, "config": network},
        "augmentation": {"train": ["Resize", "RandomHorizontalFlip"]},
        "training": {
            "output_dir": "run", "num_train_epochs": 3, "per_device_train_batch_size": 8, "dataloader_num_workers": 0,
            "seed": 3, "disable_tqdm": True,
        },
    }  # fmt: skip


def attempt(case: Case, folder: Path) -> tuple[int | str, int | str]:
    """Exit statuses in the trouble, and after it."""
    command = ["train", str(folder / "recipe.json"), *case.settings]
    pid = warm.start(command, folder, before=lambda: case.before(folder))
    end, status = time.monotonic() + 120, None
    while case.when and (status := warm.finished(pid)) is None and time.monotonic() < end:
        if case.when(folder):
            case.happens(folder, pid)
            break
        time.sleep(0.002)
    status = warm.wait(pid, 120) if status is None else status
    warm.kill(pid)
    (folder / "out.txt").rename(folder / "first.txt")
    case.mend(folder)
    return status, warm.wait(warm.start(command, folder), 120)


def main() -> int:
    options = warm.work_folder(__doc__)
    recipe = options.work / "recipe.json"
    recipe.write_text(json.dumps(make_recipe(warm.make_images(options.work / "images", 2, 60, 16))))
    warm.import_all(["train", str(recipe)], options.work / "first")
    options.work.chmod(0o755)
    failed = tried = 0
    for case in CASES:
        if options.only not in case.name:
            continue
        folder = options.work / case.name.replace(" ", "_").replace("'", "")
        folder.mkdir()
        (folder / "recipe.json").write_text(
            json.dumps(make_recipe(warm.make_images(folder / "images", 2, case.each, 16)))
        )
        case.prepare(folder)
        try:
            status, after = attempt(case, folder)
        finally:
            for place in case.mounts:
                subprocess.run(["umount", "-l", str(folder / place)], check=False)
        text = (folder / "first.txt").read_text(errors="replace")
        wrong = ["traceback"] if "Traceback (most" in text + warm.printed(folder) else []
        wrong += ["not in a line"] if status not in (0, 1, 2) else []
        wrong += [f"afterwards {after}: {warm.last_line(folder)}"] if after else []
        tried, failed = tried + 1, failed + bool(wrong)
        said = [line for line in text.replace("\r", "\n").splitlines() if line.strip()][-1:]
        print("FAILED " if wrong else "ok     ", f"{case.name}: status {status}, then {after} {wrong}", flush=True)
        print("        ", *said, flush=True)
    print(f"{tried} tried, {failed} failed ({options.work})")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
