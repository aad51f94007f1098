"""Write the tables of recipe keys in docs/recipes.md from the types of the package: `make docs`."""

import json
import re
from pathlib import Path
from typing import Any

from hf_imgcls.recipe import NOT_IN_A_RECIPE, json_schema

PAGE = Path(__file__).parent / "recipes.md"
# Title, the schema's definition, and the text before the keys.
SECTIONS = (
    ("data", "DataSection"),
    ("data.max_samples, data.samples_per_class", "PerSplit"),
    ("model", "ModelSection"),
    ("model.processor", "ProcessorSection"),
    ("model.head", "HeadSection"),
    ("augmentation", "AugmentationSection"),
    ("loss", "LossSection"),
    ("loss.asymmetric", "AsymmetricSection"),
    ("sampling", "SamplingSection"),
    ("distillation", "DistillationSection"),
    ("averaging", "AveragingSection"),
    ("optimizer", "OptimizerSection"),
    ("calibration", "CalibrationSection"),
    ("tune, limits", "RangeSection"),
    ("stages", "StageSection"),
    ("stages.train.last_blocks", "LastBlocks"),
    ("stages.train.lora", "LoraSection"),
    ("stages.early_stopping", "EarlyStopping"),
)
_ANCHORS = {
    "DataSection": "data",
    "PerSplit": "datamax_samples-datasamples_per_class",
    "ModelSection": "model",
    "ProcessorSection": "modelprocessor",
    "HeadSection": "modelhead",
    "AugmentationSection": "augmentation",
    "LossSection": "loss",
    "AsymmetricSection": "lossasymmetric",
    "SamplingSection": "sampling",
    "AveragingSection": "averaging",
    "DistillationSection": "distillation",
    "OptimizerSection": "optimizer",
    "RangeSection": "tune-limits",
    "StageSection": "stages",
    "LastBlocks": "stagestrainlast_blocks",
    "Lora": "stagestrainlora",
    "LoraSection": "stagestrainlora",
    "EarlyStopping": "stagesearly_stopping",
    "TrainingSection": "training",
    "StageTrainingSection": "training",
}
_MOST_VALUES = 12  # more allowed values than this are counted, not listed


def blocks() -> dict[str, str]:
    """The generated text by the name of its markers; `training` and `transforms` depend on installed versions."""
    schema = json_schema()
    definitions = schema["$defs"]
    own = ["### The recipe\n", _table(schema, definitions)]
    for title, name in SECTIONS:
        own += [
            f"### {title}\n",
            definitions[name].get("description", "") + "\n",
            _table(definitions[name], definitions),
        ]
    run, stage = (set(definitions[name]["properties"]) for name in ("TrainingSection", "StageTrainingSection"))
    only_run = ", ".join(f"`{key}`" for key in sorted(run - stage))
    training = [
        f"Described for {schema['$comment']}.\n",
        f"A stage may set all of them but those of the run: {only_run}.\n",
        _table(definitions["TrainingSection"], definitions),
        "A recipe cannot set these:\n",
        "| field | why |\n|---|---|\n" + "".join(f"| `{key}` | {why} |\n" for key, why in NOT_IN_A_RECIPE.items()),
    ]
    names = definitions["AugmentationSection"]["properties"]["train"]["items"]["anyOf"][0]["enum"]
    return {
        "keys": "\n".join(own),
        "training": "\n".join(training),
        "transforms": ", ".join(f"`{name}`" for name in names) + f"\n\n({schema['$comment']})\n",
    }


def _table(definition: dict[str, Any], definitions: dict[str, Any]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in definition["properties"].items():
        required = key in definition.get("required", [])
        default = "required" if required else _default(value.get("default"))
        section = definitions.get(value.get("$ref", "").rpartition("/")[2], {})
        meaning = (
            " ".join((value.get("description") or section.get("description", "")).split())
            .replace("|", "\\|")
            .replace("<", "&lt;")
        )
        lines.append(f"| `{key}` | {_kind(value, definitions)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, dict) and all(part in (None, {}, []) for part in value.values()):
        value = {}
    return "" if value is None or (isinstance(value, dict) and len(value) > 3) else f"`{json.dumps(value)}`"


def _kind(value: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a key may hold, in words: `integer > 0 or "balanced"`; null, which leaves a key out, is not named."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[section](#{_ANCHORS[name]})" if name in _ANCHORS else _kind(definitions[name], definitions)
    if "anyOf" in value:
        kinds = [_kind(one, definitions) for one in value["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value or "const" in value:
        values = value.get("enum", [value.get("const")])
        listed = ", ".join(f"`{json.dumps(one)}`" for one in values)
        return listed if len(values) <= _MOST_VALUES else f"one of {len(values)} names"
    kind = value.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(value.get('items', {}), definitions)}"
    limits = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    named = [f"{sign} {value[key]:g}" for key, sign in limits.items() if key in value]
    return " ".join([kind, ", ".join(named)]).strip().replace("<", "&lt;")


def renewed(text: str) -> str:
    """The page with what stands between its markers generated anew."""
    for name, block in blocks().items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text, found = pattern.subn(lambda _, new=f"{begin}\n{block}\n{end}": new, text)
        if found != 1:
            raise SystemExit(f"{PAGE}: expected the markers of {name} once, found them {found} times")
    return text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
