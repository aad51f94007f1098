"""The metadata of a model card, as the Hub reads it: what it is, what it comes from, what was measured."""

import json
import math
import re
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData, hf_hub_download
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import HFValidationError, validate_repo_id

from hf_imgcls.machine import use_hub
from hf_imgcls.reports.card.edits import front_matter
from hf_imgcls.scoring import metrics_in
from hf_imgcls.store import is_address, last_part

_TASK = "image-classification"
_LICENSE = ("license", "license_name", "license_link")


def metadata(recipe, results: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a run's card, as plain values in the Hub's order."""
    measured, several = eval_results(recipe.data, results), recipe.model.multi_label
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=_TASK,
        tags=[_TASK, *(["multi-label"] if several else []), "vision", "hf-imgcls"],
        datasets=[recipe.data.path] if hub_id(recipe.data.path) else None,
        metrics=["mean_average_precision" if several else "accuracy", "f1"] if measured else None,
        model_name="model" if measured else None,  # its name is written with the card
        eval_results=measured or None,
        **base_of(recipe.model),
    )
    return json.loads(json.dumps(data.to_dict()))


def eval_results(section, results: dict[str, Any]) -> list[EvalResult]:
    """Every metric of every split with its interval; one that is no number is left out."""
    own, fingerprints = hub_id(section.path), results.get("fingerprints", {})
    leaked = {each["split"]: each["images"] for each in results.get("duplicates") or () if each["other"] == "train"}
    leaked.pop("train", None)
    return [
        EvalResult(
            task_type=_TASK,
            task_name="Image classification",
            # A Hub id must not be claimed for a folder that happens to have its name.
            dataset_type=own or "custom",
            dataset_name=own or data_name(section.path),
            dataset_config=section.name,
            dataset_revision=section.revision,
            dataset_split=split,
            dataset_args={"images": values["images"]}
            | ({"images_also_in_train": leaked[split]} if split in leaked else {})
            | ({"fingerprint": fingerprints[split]} if split in fingerprints else {}),
            metric_type=metric.hub_type,
            metric_name=metric.title,
            metric_value=values[key],
            metric_args=metric.hub_args
            | ({"confidence_level": 0.95, "confidence_interval": list(ends)} if ends else {})
            or None,
        )
        for split, values in results["scores"].items()
        for key, metric in metrics_in(values).items()
        if values[key] is not None and math.isfinite(values[key])
        for ends in [interval_of(results, split, key)]
    ]


def interval_of(results: dict[str, Any], split: str, metric: str) -> list[float] | None:
    """The 95 % interval of a metric; None where it was not measured."""
    ends = results.get("breakdown", {}).get(split, {}).get("intervals_95", {}).get(metric)
    return ends or results["scores"][split].get(f"{metric}_interval_95")


def hub_id(name: str | None) -> str | None:
    """A Hub id, or nothing: a path of the training machine is of no use to others."""
    if not name or Path(name).expanduser().exists():
        return None
    try:
        validate_repo_id(name)
    except HFValidationError:
        return None
    return name


def data_name(path: str) -> str:
    """The last part of a path or an address."""
    return (last_part(path) if is_address(path) else Path(path).name) or "custom"


def base_of(section) -> dict[str, Any]:
    """What the recipe's model was trained from: `base_model`, an id on the Hub, or None, and what its license is.

    A folder is traced to the Hub by its place in the Hub's cache, by its own card, or by what timm wrote into its
    configuration.
    """
    if section.from_scratch:
        return {"base_model": None}
    name = hub_id(section.checkpoint)
    if name:
        try:
            file = hf_hub_download(name, "README.md", revision=section.revision, local_files_only=not use_hub())
        except (HTTPError, OSError):  # not there, or not to be had: the run has its own card all the same
            return {"base_model": name}
        return {"base_model": name, **_license(_read(Path(file)), name)}
    folder = Path(section.checkpoint).expanduser()
    cached = re.search(r"models--(.+?)/snapshots/", f"{folder.absolute().as_posix()}/")
    card = _read(folder / "README.md")
    if cached or card:
        name = cached[1].replace("--", "/") if cached else _ids(card.get("base_model"))
        return {"base_model": name, **_license(card, name)}
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    timm = settings.get("pretrained_cfg") or {}
    return {"base_model": timm.get("hf_hub_id"), **_license(timm, None)}


def _ids(names: Any) -> Any:
    """A Hub id, or a list of them, that a card names; None for anything else, which the Hub would refuse."""
    if isinstance(names, list):
        return list(filter(None, map(_ids, names))) or None
    try:
        validate_repo_id(names)
    except HFValidationError:
        return None
    return names


def _license(card: dict[str, Any], name: str | list[str] | None) -> dict[str, Any]:
    found = {key: card[key] for key in _LICENSE if card.get(key)}
    link = str(found.get("license_link", ""))
    if link and "://" not in link and isinstance(name, str):  # relative to the repository it was written for
        found["license_link"] = f"https://huggingface.co/{name}/blob/main/{link}"
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return front_matter(file.read_text(encoding="utf-8"))[0] if file.is_file() else {}
    except ValueError:  # neither text nor YAML
        return {}
