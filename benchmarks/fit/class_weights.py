"""Balanced class weights of a solved head, on photos that are thinned to uneven classes: macro-F1 with and without.

In half of the rows validation and test are thinned as train is, in the other half they stay as they are.
"""

import argparse

import torch
from sklearn.metrics import accuracy_score, f1_score

from hf_imgcls.data import load_data
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import training_arguments
from hf_imgcls.models import build_model
from hf_imgcls.recipe import load_recipe
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.loss import Terms
from hf_imgcls.training.regression import solve
from hf_imgcls.training.solutions import Examples
from hf_imgcls.training.solved_head import losses_of, read_examples

RATIOS, MOST = (3, 5, 10, 30), {"train": 200, "validation": 22, "test": 24}  # images of the largest class


def read_splits(data: str, weights: str) -> tuple[dict[str, Examples], int]:
    content = {"data": {"path": data}, "model": {"checkpoint": weights}, "training": {"output_dir": "none"}}
    recipe = load_recipe(content)
    loaded = load_data(recipe.data)
    model, processor = build_model(recipe.model, loaded.labels, 1)
    scoring = EvalTransform(processor, [model.config.label2id[name] for name in loaded.labels])
    arguments = training_arguments(recipe.training)
    features = {
        role: cached_features(model, rows, scoring, loaded.fingerprints[role], arguments)
        for role, rows in loaded.splits.items()
    }
    return read_examples(features, torch.device("cpu")), len(loaded.labels)


def thinned(examples: Examples, most: int, ratio: float, seed: int, classes: int) -> Examples:
    """Classes in a drawn order, each with less images than the one before it, from `most` to `most / ratio`."""
    generator, kept = torch.Generator().manual_seed(seed), []
    for place, label in enumerate(torch.randperm(classes, generator=generator)):
        rows = (examples.labels == label).nonzero().flatten()
        count = max(1, round(most * ratio ** (-place / (classes - 1))))
        kept.append(rows[torch.randperm(len(rows), generator=generator)][:count])
    rows = torch.cat(kept)
    return Examples(examples.features[rows], examples.labels[rows])


def measure(splits: dict[str, Examples], classes: int, seed: int, balanced: bool) -> tuple[float, float]:
    """Macro-F1 and accuracy on test."""
    labels, weights = splits["train"].labels, None
    if balanced:
        weights = len(labels) / (classes * torch.bincount(labels, minlength=classes).double())
        weights = weights / weights[labels].mean()
    solved = solve(splits["train"], splits["validation"], classes, losses_of(Terms(weights), 0.0), seed)
    test = splits["test"]
    predicted = (test.features @ solved.weight.T + solved.bias).argmax(1)
    return f1_score(test.labels, predicted, average="macro", zero_division=0), accuracy_score(test.labels, predicted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a folder with train, validation and test")
    parser.add_argument("--weights", required=True, help="a pretrained network")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    splits, classes = read_splits(options.data, options.weights)
    for alike in (True, False):
        for ratio in RATIOS:
            differences, real = [], []
            for seed in range(1, options.seeds + 1):
                thin = {role: thinned(part, MOST[role], ratio, seed, classes) for role, part in splits.items()}
                used = thin if alike else {**splits, "train": thin["train"]}
                plain, weighted = (torch.tensor(measure(used, classes, seed, each)) for each in (False, True))
                counts = torch.bincount(thin["train"].labels)
                differences.append(weighted - plain)
                real.append(float(counts.max() / counts.min()))
            f1, accuracy = torch.stack(differences).mean(0).tolist()
            where = "as uneven as train" if alike else "as they are"
            ratio_found = sum(real) / len(real)
            print(
                f"{ratio_found:.1f}:1, validation and test {where}: macro-F1 {f1:+.4f}, accuracy {accuracy:+.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
