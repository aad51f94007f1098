"""The story of a cross-validation: a run for each fold, each as any other; then mean and spread of their scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_imgcls import machine, reports
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import as_run, load_recipe
from hf_imgcls.scoring import pool_folds, spread_of
from hf_imgcls.store import FOLDS, Lock, open_folds, write_json


def cross_validate(recipe, train: Callable[[Any], dict[str, Any]], start_over: bool, lock: Lock) -> dict[str, Any]:
    """Train each fold in a folder of its own, `fold-1` and so on; those that are finished are answered.

    Args:
        recipe: with `data.folds` and without `data.fold`.
        train: of the recipe of one fold, its results.
        start_over: move the folds that are there aside.

    Returns:
        The content of folds.json.

    Raises:
        InputError, ParityError: as `train` does; the folder holds something else.
    """
    machine.prepare_launch()
    folder, count = Path(machine.training_arguments(recipe.training).output_dir), recipe.data.folds
    on_main(lambda: open_folds(folder, start_over, lock))
    results = []
    for number in range(1, count + 1):
        say(f"fold {number} of {count}: {folder / f'fold-{number}'}")
        results.append(train(_of_fold(recipe, number, folder)))
    summary = _summarize(recipe, results)
    on_main(lambda: write_json(folder / FOLDS, summary))
    for line in reports.describe_folds(summary):
        say(line)
    say(
        f"saved in {folder}; each fold is a run ({folder / 'fold-1'}); the final model is trained without "
        "data.folds, in another training.output_dir"
    )
    return summary


def _of_fold(recipe, number: int, folder: Path):
    content = as_run(recipe)
    content["data"]["fold"] = number
    content["training"]["output_dir"] = str(folder / f"fold-{number}")
    return load_recipe(content)


def _summarize(recipe, results: list[dict[str, Any]]) -> dict[str, Any]:
    pooled = pool_folds(results)
    cautions = reports.collect_cautions(pooled)
    if of_test := results[0].get("cautions", {}).get("test"):
        cautions["test"] = of_test
    return {
        "folds": len(results),
        "runs": [f"fold-{number}" for number in range(1, len(results) + 1)],
        "images": [each["scores"]["validation"]["images"] for each in results],
        "scores": spread_of(results),
        "out_of_fold": pooled["scores"]["validation"],
        "cautions": cautions,
        "recipe": as_run(recipe),
    }
