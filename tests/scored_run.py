"""The folder of a run, or of an evaluation, with what `hf-imgcls compare` reads of it, made without training."""

import json
from pathlib import Path

import datasets
import numpy as np
from made_run import from_logits

from hf_imgcls.reports.report.rows import prediction_table, write_rows
from hf_imgcls.reports.report.set_rows import set_table
from hf_imgcls.scoring.metrics import compute_metrics, set_metrics, split_metrics
from hf_imgcls.scoring.sets import ScoredSets

NAMES = ["고양이", "dog", "鸟", "cow", "horse", "sheep", "cat"]


def drawn(seed: int, labels: np.ndarray, strength: float = 2.0, classes: int = len(NAMES)) -> np.ndarray:
    """Logits of a model that is right more often the larger `strength`."""
    return np.random.default_rng(seed).normal(size=(len(labels), classes)) + strength * np.eye(classes)[labels]


def scored_run(folder: Path, logits: np.ndarray, labels: np.ndarray, **changes) -> Path:
    """A run that scored its test split.

    Args:
        changes: `files`, `names` of classes, `split`, `fingerprint`, `recipe` (sections), and keys of results.json.
    """
    labels = np.array(labels)
    names, split = changes.pop("names", NAMES), changes.pop("split", "test")
    files = changes.pop("files", [f"{split}/{i:03d}.jpg" for i in range(len(labels))])
    columns = {"row": list(range(len(labels)))}
    rows = datasets.Dataset.from_dict(columns if files is None else {**columns, "name": files})
    rows = None if files is None else rows
    if labels.ndim == 2:
        output = ScoredSets(logits.astype(np.float32), labels, None, np.full(len(names), 0.4))
        table, scores = set_table({split: output}, {split: rows}, names), set_metrics(output)
    else:
        output = from_logits(logits, labels)
        table = prediction_table({split: output}, {split: rows}, names)
        values = {f"{split}_{key}": value for key, value in compute_metrics(output).items()}
        scores = split_metrics(values, split, labels)
    (folder / "report").mkdir(parents=True)
    write_rows(folder / "report/predictions.parquet", table)
    recipe = {"data": {"path": "photos"}, "model": {"checkpoint": "org/vit"}, "training": {"output_dir": str(folder)}}
    recipe |= changes.pop("recipe", {})
    prints = {split: changes.pop("fingerprint", "same")}
    results = {"scores": {split: scores}, "labels": names, "fingerprints": prints, "time": {"run": 61.0}, **changes}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def evaluation(folder: Path, model: str, logits: np.ndarray, labels: np.ndarray, **changes) -> Path:
    """What `evaluate MODEL photos --output FOLDER` leaves of it."""
    scored_run(folder, logits, labels, **changes)
    (folder / "recipe.json").unlink()
    results = json.loads((folder / "results.json").read_text())
    scores = results["scores"]["test"]
    about = {"model": model, "data": "photos", "split": "test", "cautions": ["12 images of test are in train"]}
    (folder / "results.json").write_text(json.dumps({**about, "scores": scores, "fingerprint": "same"}))
    return folder


def set_logits(seed: int, has: np.ndarray) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=has.shape) + np.where(has, 1.5, -1.5)
