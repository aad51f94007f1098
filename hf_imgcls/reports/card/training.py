"""What a model card says of the training: data, stages, the command, the recipe, machine and versions."""

import itertools
import re
import shlex
from pathlib import Path
from typing import Any

from hf_imgcls.recipe import as_run, networks_of, stages_of, value_of
from hf_imgcls.reports.average import average_section
from hf_imgcls.reports.card.metadata import data_name, hub_id
from hf_imgcls.reports.card.results import plain_sentence
from hf_imgcls.words import as_json, clean_word, duration, plain, plural, table, without_paths

_LONG = 100  # characters from which a command takes a line for each word


def training_section(folder: Path, recipe, results: dict[str, Any]) -> list[str]:
    """How it was trained, so that it can be done again."""
    content = as_json(without_paths(as_run(recipe)), indent=2)
    content = re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", content)  # in a line
    bad = results.get("bad_images", 0)
    unreadable = [f"skipped {plural(bad, 'unreadable image')}"] if bad else []
    averaged = "average" in results
    recipe_of = "The recipe of the first model" if averaged else "The recipe"
    text = [
        "## Training",
        _data(recipe, results),
        "\n".join(f"- {plain_sentence(without_paths(note))}" for note in [*unreadable, *results.get("notes", [])]),
        *_how(folder, recipe, results),
        f"<details><summary>{recipe_of}, as run</summary>\n\n```json\n{content}\n```\n\n</details>",
        _machine(results),
        "In this repository: `recipe.json` (this recipe), `splits.json` (fingerprints of the splits), `results.json` "
        f"(all metrics){'' if averaged else ', `history.json` (training log)'}.",
    ]
    return [piece for piece in text if piece]


def _how(folder: Path, recipe, results: dict[str, Any]) -> list[str]:
    """The stages and the command; or what was averaged."""
    if "average" in results:
        return average_section(results["average"], results["scores"])
    curves = "![Training curves](plots/curves.png)" if (folder / "plots/curves.png").is_file() else ""
    return [_stages(recipe, results), curves, _command(results)]


def _data(recipe, results: dict[str, Any]) -> str:
    name = recipe.data.path
    source = f"[{name}](https://huggingface.co/datasets/{name})" if hub_id(name) else f"`{data_name(name)}`"
    images, fingerprints = results.get("images", {}), results.get("fingerprints", {})
    if not images:
        return f"Dataset: {source}, streamed."
    rows = [[split, f"{count:,}", f"`{fingerprints.get(split, '-')}`"] for split, count in images.items()]
    seed = f"Splits were drawn with `data.seed` {recipe.data.seed}."
    return f"Dataset: {source}. {seed}\n\n{table(['split', 'images', 'fingerprint'], rows, ['split', 'fingerprint'])}"


def _stages(recipe, results: dict[str, Any]) -> str:
    heading = ["stage", "trained", "parameters", "learning rate", "batch size", "epochs", "steps", "checkpoint", "time"]
    stages = itertools.chain(*map(stages_of, networks_of(recipe)))
    rows = [
        _stage(record, stage, results.get("processes", 1))
        for record, stage in zip(results["stages"], stages, strict=True)
    ]
    return table(heading, rows, ["stage", "trained", "learning rate", "checkpoint"])


def _stage(record: dict[str, Any], stage, processes: int) -> list[Any]:
    what, training = record["train"], stage.training
    if isinstance(what, dict) and "lora" in what:
        what = f"LoRA of rank {stage.train.lora.rank} and head"
    elif isinstance(what, dict):
        last = what["last_blocks"]
        number = "all blocks" if last == "all" else f"last {plural(last, 'block')}" if last > 1 else "last block"
        frozen = " without batch normalizations" if what.get("freeze_batch_norm") else ""
        what = f"{number} and head{frozen}"
    elif isinstance(what, list):
        what = ", ".join(map(plain, what))
    solved = record.get("logistic_regression")
    features = f", {'logistic regression ' * bool(solved)}on cached features" if record["cache_features"] else ""
    features += f" of {record['views']} views of each image" if record.get("views", 1) > 1 else ""
    taught = f", {_teacher(stage.distillation)}" if stage.distillation.teacher else ""
    averaged = f", EMA {record['ema_decay']:g}" if record.get("ema_decay") else ""
    batch = value_of(training, "per_device_train_batch_size", 8) * value_of(training, "gradient_accumulation_steps", 1)
    best = record.get("best_step")
    return [
        f"{record['stage']} (network {record['network']})" if "network" in record else record["stage"],
        f"{what}{features}{taught}{averaged}",
        f"{record['trained_parameters']:,} of {record['parameters']:,}",
        "-" if solved else _rates(value_of(training, "learning_rate", 5e-5), stage.optimizer),
        "-" if solved else batch * processes,
        "-" if solved else f"{record['epochs']:.3g}",
        f"{record['steps']:,}",
        f"step {best:,}" if best and record["selected_checkpoint"] == "best" else record["selected_checkpoint"],
        duration(record["seconds"]) if "seconds" in record else "-",
    ]


def _teacher(section) -> str:
    name = section.teacher if hub_id(section.teacher) else Path(section.teacher).name or section.teacher
    return f"distilled from {plain(name)} (temperature {section.temperature:g}, weight {section.weight:g})"


def _rates(learning_rate: float, optimizer) -> str:
    by_layer = [f"layer decay {optimizer.layer_decay:g}"] if optimizer.layer_decay else []
    own = [f"{factor:g} times for {plain(pattern)}" for pattern, factor in optimizer.learning_rates.items()]
    return ", ".join([f"{learning_rate:g}", *by_layer, *own])


def _command(results: dict[str, Any]) -> str:
    words = _words(results.get("command", ""), results.get("processes", 1))
    if words is None:
        code = 'from hf_imgcls import train_classifier\n\ntrain_classifier("recipe.json")'
        return f"Trained from Python, with the recipe below:\n\n```python\n{code}\n```"
    shown = [clean_word(word) for word in words]
    written = list(map(shlex.quote, shown))
    line = " ".join(written)
    if len(line) > _LONG:
        start = next((i for i, word in enumerate(words) if word.endswith(".json")), 1) + 1
        line = " \\\n    ".join([" ".join(written[:start]), *written[start:]])
    cut = "" if shown == words else " (local paths shortened to their last part)"
    return f"Trained with{cut}:\n\n```bash\n{line}\n```"


def _words(command: str, processes: int) -> list[str] | None:
    """The words of the command that trains, however it was started; None where it was no command."""
    try:
        program, *words = shlex.split(command)
    except ValueError:
        return None
    match Path(program).name:
        case "train.py":  # the words of the launcher itself are not known
            several = f"accelerate launch --num_processes {processes} hf_imgcls/train.py"
            return [*(several.split() if processes > 1 else ["hf-imgcls", "train"]), *words]
        case "cli.py" | "hf-imgcls" | "hf-imgcls.exe" | "__main__.py" if words[:1] in (["train"], ["fit"]):
            return ["hf-imgcls", *words]
    return None


def _machine(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return (
        f"- seed: {results['seed']}\n"
        f"- time: {duration(results['training']['seconds'])}\n"
        f"- hardware: {plain(results['hardware'])}\n"
        f"- versions: {versions}"
    )
