"""What each step costs for a row more: seconds, memory and bytes, from folders of two sizes.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --files 20000 50000

Each step is a process of its own, forked once everything is imported. Seconds are those of the CPU, all its processes
and threads together: other work on the machine does not change them. Memory is by how much the process itself grew at
its peak (children, which read images in the first check, are not in it). What a row costs is the difference of the two
sizes. The images are small and all different, so that what is measured is the work on rows; how long images take to
decode and a network to run is in the other benchmarks. The network of `predict` is tiny for the same reason.
"""

import argparse
import functools
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from startup import make_folder


def index(folder: str, place: Path) -> None:
    from hf_imgcls.data import open_source
    from hf_imgcls.recipe import DataSection

    open_source(DataSection(path=folder))


def check(folder: str, place: Path) -> None:
    from hf_imgcls.data import load_data
    from hf_imgcls.recipe import DataSection

    load_data(DataSection(path=folder, validation_fraction=0.1))


def list_names(count: int, folder: str, place: Path) -> None:
    """What predict does with the names of its images before it reads one; they need not exist for that."""
    from hf_imgcls.serving import write_list

    with open(place / "list", "w") as file:
        write_list((f"{folder}/{number:016x}.jpg" for number in range(count)), set(), file)


def predict(folder: str, place: Path) -> None:
    from hf_imgcls.api import predict_images

    predict_images(str(place / "model"), [folder], place / "rows.parquet")


def pack(folder: str, place: Path) -> None:
    from hf_imgcls.api import PackOptions, pack_data

    pack_data(folder, [], PackOptions(str(place / "shards"), "parquet", 16))


def read_stream(folder: str, place: Path) -> None:
    from hf_imgcls.data import load_data
    from hf_imgcls.recipe import DataSection

    section = DataSection(path=str(place / "shards"), streaming=True)
    assert sum(1 for row in load_data(section).splits["train"]) > 0


STEPS = {
    "index a folder": index,
    "check, first start": check,
    "check, second start": check,
    "predict": predict,
    "predict, all done": predict,
    "pack": pack,
    "read as a stream": read_stream,
}


def make_model(folder: Path) -> None:
    """A network of one layer on 16 pixels, with labels of usual length."""
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    labels = {number: f"class_{number}" for number in range(10)}
    shape = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
    config = ResNetConfig(**shape, id2label=labels, label2id={name: number for number, name in labels.items()})
    ResNetForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


def import_all() -> None:
    import transformers.pipelines  # noqa: F401

    import hf_imgcls.api  # noqa: F401


def size_of(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())


def memory(key: str) -> int:
    """Bytes that /proc has of this process: VmRSS now, VmHWM at the peak."""
    return 1024 * int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def forked(step: Callable, folder: Path, place: Path) -> tuple[float, float]:
    """Seconds of the CPU, and bytes by which the process grew, of a step in a process of its own."""
    ours, theirs = os.pipe()
    if not (child := os.fork()):
        status = 1
        try:
            with open(place / "output", "w") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            before, start = memory("VmRSS"), sum(os.times()[:4])
            step(str(folder), place)
            found = [sum(os.times()[:4]) - start, memory("VmHWM") - before]
            os.write(theirs, json.dumps(found).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with open(ours) as result:
        text = result.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError((place / "output").read_text()[-2000:])
    return tuple(json.loads(text))


def measure(folder: Path, place: Path) -> dict[str, tuple[float, float]]:
    """Of each step."""
    found = {}
    for name, step in STEPS.items():
        found[name] = forked(step, folder, place)
        print(f"{folder.name} files, {name}: {found[name][0]:.2f} s, {found[name][1] / 1e6:.0f} MB", flush=True)
    return found


def describe_rows(place: Path, files: int, cached: int) -> None:
    """Bytes that a row takes on the disk; `cached` were in the cache before."""
    table = pq.read_table(place / "rows.parquet")
    random = np.random.default_rng(0)  # the images are alike, and their rows compress as no others do
    for number, name in enumerate(table.column_names):
        if name.startswith("score_"):
            table = table.set_column(number, name, [random.random(files)])
    names = [f"photos/2026/train/dress/{random.integers(2**63):016x}.jpg" for _ in range(files)]
    table = table.set_column(0, "image", [names])
    pq.write_table(table, place / "rows.parquet")
    rows, text = table.to_pylist(), {}
    text["jsonl"] = sum(len(json.dumps(row)) + 1 for row in rows)
    text["csv"] = sum(len(",".join("" if value is None else str(value) for value in row.values())) + 1 for row in rows)
    sizes = {"parquet": size_of(place / "rows.parquet"), **text}
    print(f"a row of predictions, {table.num_columns} columns, names of {len(rows[0]['image'])} characters: ", end="")
    print(", ".join(f"{kind} {size / files:.0f} bytes" for kind, size in sizes.items()))
    more = size_of(place.parent / "cache" / "datasets") - cached
    print(f"a row in the cache (index and check): {more / files:.0f} bytes")
    print(f"an image in Parquet shards: {size_of(place / 'shards') / files:.0f} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs=2, default=[20_000, 50_000])
    options = parser.parse_args()
    few, many = options.files
    found = {}
    with tempfile.TemporaryDirectory() as root:
        cache = Path(root, "cache", "datasets")
        os.environ |= {"HF_DATASETS_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        import_all()
        for files in options.files:
            folder, place = Path(root, "photos", str(files)), Path(root, f"work-{files}")
            folder.mkdir(parents=True)
            place.mkdir()
            make_folder(folder, files)
            make_model(place / "model")
            cached = size_of(cache)
            found[files] = measure(folder, place)
            describe_rows(place, files, cached)
        for count in (200_000, 1_000_000):
            took = forked(functools.partial(list_names, count), folder, place)
            size = size_of(place / "list") / count
            print(f"a list of {count:,} names: {took[0]:.1f} s, {took[1] / 1e6:.0f} MB, {size:.0f} bytes a name")
    print(f"\na row more, from {few:,} to {many:,}")
    for step in STEPS:
        seconds, memory = ((found[many][step][i] - found[few][step][i]) / (many - few) for i in (0, 1))
        print(f"{step}: {1e6 * seconds:.0f} microseconds, {memory:.0f} bytes of memory")


if __name__ == "__main__":
    main()
