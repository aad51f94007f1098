"""What `predict --on ray` costs and gains on one machine: against `predict`, with one actor and with two.

    python benchmarks/ray_predict.py --data FOLDER --checkpoint FOLDER --images 2000 --rounds 3

Each side predicts the same photos into Parquet in a process of its own. The clock starts after the imports and ends
with the last row. A few photos show what it takes to begin: opening the model, and on a Ray, which is started for the
command, its processes and their imports; the rate is that of the photos beyond them. Scores may differ by rounding,
since an actor has a part of the cores.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from fresh import run

FEW = 16
PREPARE = """
import json, sys, time
from pathlib import Path
files, checkpoint, output, actors = json.loads(Path(sys.argv[1]).read_text()), *sys.argv[2:4], int(sys.argv[4])
from hf_imgcls.api import RayOptions, predict_images, predict_on_ray
from hf_imgcls.serving import PredictOptions
options = PredictOptions(top_k=1)
"""
ALONE = """
begun = time.perf_counter()
predict_images(checkpoint, files, Path(output), options)
print(time.perf_counter() - begun)
"""
ON_RAY = """
import ray.data
begun = time.perf_counter()
predict_on_ray(checkpoint, files, output, options, RayOptions(actors=actors))
print(time.perf_counter() - begun)
"""
SIDES = {"predict": (ALONE, 0), "one actor": (ON_RAY, 1), "two actors": (ON_RAY, 2)}


def measure(side: str, files: list[str], checkpoint: str, place: Path) -> tuple[float, dict[str, tuple]]:
    """Seconds, and the label and score of each photo."""
    code, actors = SIDES[side]
    output, names = place / f"{len(list(place.iterdir()))}.parquet", place / "list.json"
    names.write_text(json.dumps(files))
    printed = run(PREPARE + code, names, checkpoint, output, actors, cache=place / "cache")
    rows = pq.read_table(output).to_pylist()
    return float(printed.splitlines()[-1]), {row["image"]: (row["label_1"], row["score_1"]) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with photos, at any depth")
    parser.add_argument("--checkpoint", required=True, help="a folder")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    files = sorted(str(file) for file in options.data.resolve().rglob("*.jpg"))[: options.images]
    rates, starts = {side: [] for side in SIDES}, {side: [] for side in SIDES}
    for _ in range(options.rounds):
        found = {}
        for side in SIDES:
            with tempfile.TemporaryDirectory() as place:
                few, _ = measure(side, files[:FEW], options.checkpoint, Path(place))
                seconds, found[side] = measure(side, files, options.checkpoint, Path(place))
            starts[side].append(few)
            rates[side].append((len(files) - FEW) / (seconds - few))
            alone = found["predict"]
            assert found[side].keys() == alone.keys()
            labels = sum(alone[name][0] == found[side][name][0] for name in alone)
            apart = max(abs(alone[name][1] - found[side][name][1]) for name in alone)
            print(
                f"{side}: {FEW} photos in {few:.1f} s, {len(files)} in {seconds:.1f} s; "
                f"same label {labels} of {len(alone)}, largest difference of a score {apart:.1e}",
                flush=True,
            )
    print(f"\nmedians of {options.rounds} rounds")
    for side in SIDES:
        print(
            f"{side}: {statistics.median(starts[side]):.1f} s to begin, {statistics.median(rates[side]):.1f} photos/s"
        )


if __name__ == "__main__":
    main()
