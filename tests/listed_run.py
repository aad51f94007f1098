"""The folder of a run with the files that `hf-imgcls runs` reads."""

import json
from pathlib import Path

SCORES = {"images": 4, "accuracy": 0.75, "macro_f1": 0.7, "loss": 0.5, "accuracy_interval_95": [0.3, 0.95]}


def made_run(folder: Path, accuracy: float | None = 0.75, loss: float = 0.5, results: bool = True, **training) -> Path:
    folder.mkdir(parents=True)
    recipe = {
        "data": {"path": "/home/me/사진"},
        "model": {"checkpoint": "org/vit"},
        "training": {"output_dir": str(folder), **training},
    }
    (folder / "recipe.json").write_text(json.dumps(recipe))
    if results:
        scores = {split: {**SCORES, "accuracy": accuracy, "loss": loss} for split in ("validation", "test")}
        made = {"scores": scores, "parity": {"passed": True}, "time": {"run": 61.0}}
        (folder / "results.json").write_text(json.dumps(made))
    return folder
