"""The model card: README.md of the output folder, written from what the run measured."""

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from hf_imgcls.parity import describe, own_code

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def write_card(folder: Path, recipe, results: dict[str, Any]) -> None:
    """Write a run's card: what it is, its scores, how it was trained and how to use it."""
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["image-classification", "hf-imgcls"],
        base_model=None if recipe.model.from_scratch else _hub_name(recipe.model.checkpoint),
        datasets=_hub_name(recipe.data.path),
        metrics=["accuracy", "f1"],
    )
    title = recipe.description or folder.resolve().name
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {title}",
        f"An image classifier of {len(results['labels'])} classes: {_some(results['labels'])}.",
        _scores(results["scores"]),
        _check(results["served_as_scored"]),
        _use(recipe.training.hub_model_id or folder.resolve().name, own_code(folder)),
        _training(recipe, results),
    ]
    ModelCard("\n\n".join(parts) + "\n").save(folder / "README.md")


def _hub_name(name: str | None) -> str | None:
    """A Hub id, or nothing: a path of the training machine is of no use to others."""
    return name if name and not Path(name).expanduser().exists() and _HUB_ID.fullmatch(name) else None


def _some(labels: list[str], most: int = 20) -> str:
    shown = ", ".join(labels[:most])
    return f"{shown}, and {len(labels) - most} more" if len(labels) > most else shown


def _scores(scores: dict[str, dict[str, Any]]) -> str:
    lines = [
        "## Results",
        "",
        "| split | pictures | accuracy | 95 % interval | top-5 | macro-F1 | loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for split, values in scores.items():
        low, high = values["accuracy_interval_95"]
        top5 = f"{values['top5_accuracy']:.4f}" if "top5_accuracy" in values else "-"
        lines.append(
            f"| {split} | {values['pictures']} | {values['accuracy']:.4f} | {low:.4f} to {high:.4f} | {top5} | "
            f"{values['macro_f1']:.4f} | {values['loss']:.4f} |"
        )
    return "\n".join(lines)


def _check(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "There was no split to compare the served model with."
    if not verdict["passed"]:
        return f"**{describe(verdict)}**"
    return (
        f"The saved folder, opened by `pipeline`, gave the answers that were scored on {verdict['pictures']} of "
        f"{verdict['of']} {verdict['split']} pictures; the largest difference of a score was "
        f"{verdict['largest_difference']:.1e}."
    )


def _use(name: str, code: str | None) -> str:
    lines = [
        "## Use",
        "",
        "```python",
        "from transformers import pipeline",
        "",
        f'classify = pipeline("image-classification", model="{name}"{", trust_remote_code=True" if code else ""})',
        'print(classify("photo.jpg"))',
        "```",
    ]
    if code:
        lines += ["", f"The network is no part of transformers: its code is in `{code.partition('.')[0]}.py`."]
    return "\n".join(lines)


def _training(recipe, results: dict[str, Any]) -> str:
    weights = recipe.model.checkpoint if not recipe.model.from_scratch else None
    origin = _hub_name(weights) or (Path(weights).name if weights else "no weights, from scratch")
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return "\n".join(
        [
            "## Training",
            "",
            f"- weights: {origin}",
            f"- pictures: {', '.join(f'{count} {split}' for split, count in results['pictures'].items())}",
            *map(_stage, results["stages"]),
            f"- seed: {results['seed']}",
            f"- hardware: {results['hardware']}",
            f"- time: {results['training']['seconds']:.0f} s",
            f"- versions: {versions}",
            "",
            "`recipe.json` is the recipe as run, `splits.json` has the fingerprints of the splits, `results.json` all "
            "figures, `history.json` the course of the training.",
        ]
    )


def _stage(stage: dict[str, Any]) -> str:
    what = json.dumps(stage["train"]) if isinstance(stage["train"], dict | list) else stage["train"]
    features = ", on features computed once" if stage["cache_features"] else ""
    return (
        f"- stage {stage['stage']}: {what}{features}: {stage['trained_parameters']:,} of {stage['parameters']:,} "
        f"parameters, {stage['epochs']:g} epochs, {stage['steps']} steps, kept: {stage['goes_on_with']} weights"
    )
