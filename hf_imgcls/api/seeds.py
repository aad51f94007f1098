"""Several seeds: a run for each, each as any other; then mean and spread of their scores."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.several import TrainOne, train_each
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import as_run
from hf_imgcls.scoring import spread_of
from hf_imgcls.store import SEEDS, Lock, write_json, write_text
from hf_imgcls.words import clean_word

_TABLE = "seeds.md"


def train_seeds(
    recipe, seeds: Sequence[int], train: TrainOne, opening: tuple[bool, Lock], name: tuple[Any, Iterable[str]]
) -> dict[str, Any]:
    """Train a recipe with each seed; returns the content of seeds.json.

    No model is chosen: what differs is chance, and the best on validation would be the luckiest.

    Args:
        name: source of the recipe, and its overrides.

    Raises: see `train_each`.
    """
    folder, results = train_each(recipe, "seed", seeds, train, opening)
    summary = _summarize(recipe, seeds, results)
    row = reports.seeds_row(summary, _named(*name))
    on_main(lambda: write_text(folder / _TABLE, row + "\n"))
    on_main(lambda: write_json(folder / SEEDS, summary))
    for line in [*reports.describe_seeds(summary), *row.splitlines()]:
        say(line)
    say(
        f"saved in {folder}; each seed is a run ({folder / f'seed-{seeds[0]}'}); none of them is chosen as the model, "
        "the best being the luckiest: take any; those of one pretrained network may be averaged (hf-imgcls average)"
    )
    return summary


def _summarize(recipe, seeds: Sequence[int], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    content = as_run(recipe)
    content["training"].pop("seed", None)
    summary = {
        "seeds": [*seeds],
        "runs": [f"seed-{seed}" for seed in seeds],
        "images": results[0]["images"],
        "scores": spread_of(results, "seeds"),
        "training_seconds": [each["training"]["seconds"] for each in results],
        "cautions": _cautions(seeds, results),
        "recipe": content,
    }
    return {**summary, "spread": reports.say_spread(summary)}


def _cautions(seeds: Sequence[int], results: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By split each caution, with the seeds whose runs have it."""
    found: dict[str, dict[str, list[int]]] = {}
    for seed, each in zip(seeds, results, strict=True):
        for split, cautions in each.get("cautions", {}).items():
            for caution in cautions:
                found.setdefault(split, {}).setdefault(caution, []).append(seed)
    return {
        split: [{"caution": caution, "seeds": of} for caution, of in cautions.items()]
        for split, cautions in found.items()
    }


def _named(source: Any, overrides: Iterable[str]) -> str:
    """A recipe by its file and what was changed in it, but for places on this machine."""
    name = f"`{Path(source).name}`" if isinstance(source, str | Path) else "a recipe"
    kept = [clean_word(each) for each in overrides if not each.startswith(("training.output_dir=", "data.path="))]
    return f"{name} with `{' '.join(kept)}`".replace("|", "\\|") if kept else name
