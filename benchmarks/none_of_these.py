"""Images of no class: how well score, energy and distance tell them from the classes, of a solved head and all weights.

    python benchmarks/none_of_these.py --data photos/clothing --other photos/cats-vs-dogs/validation \
        --checkpoint weights/deit-tiny-patch16-224

For each seed three other classes of the data are left out, and the network is trained on the rest: the head solved on
its features, then all weights for three epochs. AUROC of the test images of the classes against photos of those left
out (validation and test), and against a sample of `--other`; mean and sample deviation over the seeds.
"""

import argparse
import collections
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import torch

from hf_imgcls import serving, train_classifier
from hf_imgcls.images import input_size
from hf_imgcls.machine import exact_float32
from hf_imgcls.models import head_module, load_network
from hf_imgcls.scoring import auroc

OF_ALL_WEIGHTS = {
    "train": "all",
    "augmentation": {"train": [{"RandomResizedCrop": {"scale": [0.5, 1.0]}}, "RandomHorizontalFlip"]},
    "training": {
        "num_train_epochs": 3, "learning_rate": 1e-4, "weight_decay": 0.05, "label_smoothing_factor": 0.1,
        "lr_scheduler_type": "cosine", "warmup_steps": 0.1,
    },
}  # fmt: skip


def recipe_of(photos: Path, output: Path, checkpoint: str, seed: int) -> dict:
    head = {"train": "head", "cache_features": True, "logistic_regression": True}
    training = {
        "output_dir": str(output), "per_device_train_batch_size": 16, "per_device_eval_batch_size": 16,
        "metric_for_best_model": "loss", "seed": seed, "disable_tqdm": True,
    }  # fmt: skip
    data, model = {"path": str(photos)}, {"checkpoint": checkpoint}
    return {"data": data, "model": model, "stages": [head, OF_ALL_WEIGHTS], "training": training}


def link_photos(data: Path, root: Path, each: int, seed: int) -> dict[str, list[Path]]:
    """A folder `photos` without three classes, `each` photos of a class to train on; the photos by their role."""
    random = np.random.default_rng(seed)
    classes = sorted(folder.name for folder in (data / "train").iterdir())
    out, roles = set(random.choice(classes, 3, replace=False).tolist()), collections.defaultdict(list)
    for split in ("train", "validation", "test"):
        for name in classes:
            files = sorted((data / split / name).iterdir())
            if name in out:
                roles["left out"] += files if split != "train" else []
                continue
            files = [files[i] for i in random.permutation(len(files))[:each]] if split == "train" else files
            (root / "photos" / split / name).mkdir(parents=True)
            for file in files:
                (root / "photos" / split / name / file.name).symlink_to(file.resolve())
            roles[split] += files
    return roles


def measure(folder: Path, roles: dict[str, list[Path]]) -> dict[tuple[str, str], float]:
    """AUROC by images of no class and by what is compared, of a saved model."""
    network, processor = load_network(str(folder))
    classifier = serving.as_classifier("", network, processor)
    head = network.get_submodule(head_module(network, input_size(processor)))
    logits, features = {}, {}
    with exact_float32():
        for role in ("train", "test", "left out", "other"):
            batches = serving.each_batch(classifier.process, map(str, roles[role]), 16)
            found = [serving.with_features(head, classifier.outputs, batch) for batch in batches]
            logits[role] = torch.cat([torch.as_tensor(each) for each, _ in found]).double()
            features[role] = torch.cat([each for _, each in found])
    ids = [classifier.labels.index(file.parent.name) for file in roles["train"]]
    means = serving.ClassMeans.of(features["train"], torch.tensor(ids), len(classifier.labels))
    ways = {
        "score": lambda role: logits[role].softmax(1).amax(1).numpy(),
        "energy": lambda role: logits[role].logsumexp(1).numpy(),
        "distance": lambda role: means.nearest(features[role]),
    }
    return {(role, by): auroc(of("test"), of(role)) for role in ("left out", "other") for by, of in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with train, validation and test")
    parser.add_argument("--other", type=Path, required=True, help="a folder of photos of something else")
    parser.add_argument("--checkpoint", required=True, help="a pretrained network")
    parser.add_argument("--each", type=int, default=40, help="photos of a class to train on")
    parser.add_argument("--others", type=int, default=250, help="photos of --other that are read")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    found = collections.defaultdict(list)
    others = [Path(name) for name in serving.find_images([str(options.other)])]
    for seed in options.seeds:
        chosen = np.random.default_rng(seed).permutation(len(others))[: options.others]
        with tempfile.TemporaryDirectory() as place:
            root, run = Path(place), Path(place, "run")
            roles = {**link_photos(options.data, root, options.each, seed), "other": [others[i] for i in chosen]}
            with contextlib.redirect_stdout(io.StringIO()):
                train_classifier(recipe_of(root / "photos", run, options.checkpoint, seed))
            for name, folder in (("head", run / "stage-1"), ("all weights", run)):
                for key, value in measure(folder, roles).items():
                    found[name, *key].append(value)
                    print(f"seed {seed}, {name}, {', '.join(key)}: AUROC {value:.4f}", flush=True)
    for key, values in found.items():
        deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        print(f"{', '.join(key)}: AUROC {np.mean(values):.3f}{deviation}")


if __name__ == "__main__":
    main()
