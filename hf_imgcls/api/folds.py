"""A cross-validation: a run for each fold, each as any other; then mean and spread of their scores."""

from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.several import TrainOne, train_each
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import as_run
from hf_imgcls.scoring import pool_folds, spread_of
from hf_imgcls.store import FOLDS, Lock, write_json


def cross_validate(recipe, train: TrainOne, start_over: bool, lock: Lock) -> dict[str, Any]:
    """Train each fold of a recipe with `data.folds` and without `data.fold`; returns the content of folds.json.

    For `start_over`, `lock` and what is raised see `train_each`.
    """
    folder, results = train_each(recipe, "fold", range(1, recipe.data.folds + 1), train, (start_over, lock))
    summary = _summarize(recipe, results)
    on_main(lambda: reports.pool_rows(folder, summary["runs"], "folds.parquet"))
    on_main(lambda: write_json(folder / FOLDS, summary))
    for line in reports.describe_folds(summary):
        say(line)
    say(
        f"saved in {folder}; each fold is a run ({folder / 'fold-1'}); the final model is trained without "
        "data.folds, in another training.output_dir"
    )
    return summary


def _summarize(recipe, results: list[dict[str, Any]]) -> dict[str, Any]:
    pooled = pool_folds(results)
    cautions = reports.collect_cautions(pooled)
    if of_test := results[0].get("cautions", {}).get("test"):
        cautions["test"] = of_test
    return {
        "folds": len(results),
        "runs": [f"fold-{number}" for number in range(1, len(results) + 1)],
        "images": [each["scores"]["validation"]["images"] for each in results],
        "scores": spread_of(results, "folds"),
        "out_of_fold": pooled["scores"]["validation"],
        "cautions": cautions,
        "recipe": as_run(recipe),
    }
