"""What each step costs for a row more: seconds, memory and bytes, from folders of two sizes.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --files 20000 50000

Each step is a process of its own. Seconds are those of the CPU, all processes and threads together, after the imports:
other work on the machine does not change them. Memory is the peak of the process itself (children, which read images in
the first check, are not in it); what a row costs is the difference of the two sizes.
The images are small and all different, so that what is measured is the work on rows; how long images take to decode
and a network to run is in the other benchmarks. The network of `predict` is tiny for the same reason.
"""

import argparse
import json
import tempfile
from pathlib import Path

import fresh
from startup import make_folder

STEP = """
import json, os, resource, sys
from pathlib import Path
folder, place = sys.argv[1], Path(sys.argv[2])
{imports}
start = sum(os.times()[:4])
{work}
seconds = sum(os.times()[:4]) - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""
_DATA = "from hf_imgcls.data import load_data, open_source\nfrom hf_imgcls.recipe import DataSection"
_LOAD = "load_data(DataSection(path=folder, validation_fraction=0.1))"
_PREDICT = "from hf_imgcls.api import predict_images\nmodel = str(place / 'model')"
STEPS = {
    "index a folder": (_DATA, "rows = open_source(DataSection(path=folder))[0]['train']"),
    "check, first start": (_DATA, _LOAD),
    "check, second start": (_DATA, _LOAD),
    "list for predict": (
        "from hf_imgcls.serving import find_images, write_list",
        "with open(place / 'list', 'w') as file: write_list(find_images([folder]), set(), file)",
    ),
    "predict": (_PREDICT, "predict_images(model, [folder], place / 'rows.parquet')"),
    "predict, all done": (_PREDICT, "predict_images(model, [folder], place / 'rows.parquet')"),
    "pack": (
        "from hf_imgcls.api import PackOptions, pack_data",
        "pack_data(folder, [], PackOptions(str(place / 'shards'), 'parquet', 16))",
    ),
    "read as a stream": (
        _DATA,
        "section = DataSection(path=str(place / 'shards'), streaming=True)\n"
        "assert sum(1 for row in load_data(section).splits['train']) > 0",
    ),
}


def make_model(folder: Path) -> None:
    """A network of one layer on 16 pixels, with labels of usual length."""
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    labels = {number: f"class_{number}" for number in range(10)}
    shape = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
    config = ResNetConfig(**shape, id2label=labels, label2id={name: number for number, name in labels.items()})
    ResNetForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


def size_of(place: Path) -> int:
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())


def measure(folder: Path, place: Path) -> dict[str, tuple[float, float]]:
    """Seconds of the CPU and peak bytes of each step."""
    found = {}
    for step, (imports, work) in STEPS.items():
        code = STEP.format(imports=imports, work=work)
        found[step] = tuple(json.loads(fresh.run(code, folder, place, cache=place / "cache").splitlines()[-1]))
        print(f"{folder.name} files, {step}: {found[step][0]:.2f} s, {found[step][1] / 1e6:.0f} MB", flush=True)
    return found


def describe_rows(place: Path, files: int) -> None:
    """Bytes that a row takes on the disk."""
    import pyarrow.parquet as pq

    table = pq.read_table(place / "rows.parquet")
    rows, text = table.to_pylist(), {}
    text["jsonl"] = sum(len(json.dumps(row)) + 1 for row in rows)
    text["csv"] = sum(len(",".join("" if value is None else str(value) for value in row.values())) + 1 for row in rows)
    sizes = {"parquet": size_of(place / "rows.parquet"), **text}
    print(f"a row of predictions, {table.num_columns} columns, names of {len(rows[0]['image'])} characters: ", end="")
    print(", ".join(f"{kind} {size / files:.0f} bytes" for kind, size in sizes.items()))
    print(f"a row in the list of predict: {size_of(place / 'list') / files:.0f} bytes")
    print(f"a row in the cache (index and check): {size_of(place / 'cache' / 'datasets') / files:.0f} bytes")
    print(f"an image: {table.num_rows and size_of(place / 'shards') / files:.0f} bytes in Parquet shards")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, nargs=2, default=[20_000, 50_000])
    options = parser.parse_args()
    few, many = options.files
    found = {}
    with tempfile.TemporaryDirectory() as root:
        for files in options.files:
            folder, place = Path(root, "photos", str(files)), Path(root, f"work-{files}")
            folder.mkdir(parents=True)
            place.mkdir()
            make_folder(folder, files)
            make_model(place / "model")
            found[files] = measure(folder, place)
            describe_rows(place, files)
    print(f"\na row more, from {few:,} to {many:,}")
    for step in STEPS:
        seconds, memory = ((found[many][step][i] - found[few][step][i]) / (many - few) for i in (0, 1))
        print(f"{step}: {1e6 * seconds:.0f} microseconds, {memory:.0f} bytes of memory")


if __name__ == "__main__":
    main()
