"""A finished run as its card is written from, made without training: two or many classes, some of them confused."""

import json

import numpy as np
import torch

from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.reports.card.write import write_card
from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.metrics import compute_metrics, split_metrics
from hf_imgcls.scoring.scored import Scored, collect_scored, reduce_logits

STAGES = [
    {
        "stage": 1, "train": "head", "cache_features": True, "trained_parameters": 1538, "parameters": 2225858,
        "epochs": 20.0, "steps": 1260, "selected_checkpoint": "best", "best_step": 630, "seconds": 75.4,
    },
    {
        "stage": 2, "train": {"last_blocks": 4}, "cache_features": False, "trained_parameters": 912000,
        "parameters": 2225858, "epochs": 1.5, "steps": 63, "selected_checkpoint": "last", "best_step": 21,
        "seconds": 7200.0,
    },
]  # fmt: skip


def from_logits(logits: np.ndarray, label_ids: np.ndarray) -> Scored:
    """A split whose logits, shape (images, classes), are at hand, with all of them as its sample."""
    reduced = reduce_logits(torch.tensor(logits), torch.tensor(label_ids), True).numpy()
    return collect_scored([reduced], [label_ids], logits.shape[1], (np.arange(len(label_ids)), logits))


def outputs(answers: list[tuple[int, int]], classes: int) -> Scored:
    """A scored split from pairs (true class, answer)."""
    labels, given = np.array(answers).T
    logits = np.random.default_rng(0).normal(0, 0.1, (len(labels), classes))
    logits[np.arange(len(labels)), given] += 2
    return from_logits(logits, labels)


def made_results(names: list[str], answers: dict[str, list[tuple[int, int]]]) -> dict:
    """results.json of a run that gave these answers."""
    given = {split: outputs(pairs, len(names)) for split, pairs in answers.items()}
    scores = {}
    for split, output in given.items():
        metrics = compute_metrics(output)
        scores[split] = split_metrics({f"{split}_{k}": v for k, v in metrics.items()}, split, output.label_ids)
    return {
        "labels": names,
        "images": {"train": 20, **{split: len(pairs) for split, pairs in answers.items()}},
        "fingerprints": {"train": "f1", **{split: f"f{n}" for n, split in enumerate(answers, 2)}},
        "bad_images": 0,
        "notes": [],
        "scores": scores,
        "breakdown": break_down(given, scores, names),
        "parity": {
            "passed": True, "images": 10, "of": 10, "split": "validation", "max_difference": 2e-7,
            "mismatch": None,
        },
        "training": {"seconds": 7275.4},
        "stages": STAGES,
        "seed": 7,
        "command": "/home/me/bin/hf-imgcls train recipes/food.json training.learning_rate=1e-4",
        "processes": 1,
        "hardware": "1 process, 2 CPU cores (x86_64)",
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
    }  # fmt: skip


TWO = {"validation": [(0, 0)] * 5 + [(1, 1)] * 4 + [(1, 0)], "test": [(0, 0)] * 20 + [(1, 1)] * 7 + [(1, 0)] * 3}


def two_classes() -> dict:
    return made_results(["cat", "dog"], TWO)


def write(folder, results: dict | None = None, per_class: dict | None = None, **recipe) -> str:
    """Write the card of a run into a folder; returns its text."""
    folder.mkdir(parents=True, exist_ok=True)
    training = {"output_dir": str(folder), **recipe.pop("training", {})}
    content = {
        "data": {"path": "ethz/food101"},
        "model": {"checkpoint": "google/vit-base-patch16-224-in21k"},
        "stages": [{"train": "head", "cache_features": True}, {"train": {"last_blocks": 4}}],
        **recipe,
        "training": training,
    }
    (folder / "recipe.json").write_text(json.dumps(content))
    if per_class:
        (folder / "splits.json").write_text(json.dumps({"per_class": {"train": per_class}}))
    write_card(folder, load_recipe(content), results or two_classes())
    return (folder / "README.md").read_text(encoding="utf-8", errors="replace")
