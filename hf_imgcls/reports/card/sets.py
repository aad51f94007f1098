"""What a model card says of several labels an image: the headline, each label with its threshold, limits, the code."""

from pathlib import Path
from typing import Any

from hf_imgcls.words import listed, number, plain, plural, table

_FEW, _LOWEST = 20, 10  # labels up to which all stand in an open table, and how many of more
_TABLED = 250  # labels up to which every one stands in a table at all
_ROUGH, _WEAK = 30, 3  # images of a label below which its metrics are rough; labels that are named
EXAMPLE = """\
```python
from transformers import pipeline

classifier = pipeline("image-classification", model={}, function_to_apply="sigmoid")
thresholds = {}
for prediction in classifier("photo.jpg", top_k=len(classifier.model.config.id2label)):
    if prediction["score"] >= {}:
        print(f"{{prediction['score']:.3f}} {{prediction['label']}}")
```"""


def example_of_sets(arguments: str, thresholds: dict[str, float] | None) -> str:
    """The code that applies the saved thresholds, or one half where none were set."""
    if thresholds:
        return EXAMPLE.format(arguments, "classifier.model.config.label_thresholds", 'thresholds[prediction["label"]]')
    return EXAMPLE.replace("thresholds = {}\n", "").format(arguments, "0.5")


def headline_of_sets(values: dict[str, Any], split: str) -> str:
    low, high = values["map_interval_95"]
    return (
        f"mAP on {plural(values['images'], f'{split} image')}: **{number(values['map'])}** (95 % interval "
        f"{number(low)} to {number(high)}; of random scores {number(values['map_baseline'])}), micro-F1 "
        f"{number(values['micro_f1'])}, macro-F1 {number(values['macro_f1'])}."
    )


def labels_section(folder: Path, classes: dict[str, dict], trained: dict[str, int], split: str) -> list[str]:
    """Each label, or the lowest of many."""
    heading = ["label", *(["training images"] if trained else []), f"{split} images", "average precision", "threshold"]
    heading += ["recall", "precision", "F1"]
    rows = {
        name: [
            plain(name),
            *([f"{trained.get(name, 0):,}"] if trained else []),
            f"{values['images']:,}",
            number(values["average_precision"]),
            f"{values['threshold']:.3f}",
            number(values["recall"], values["recall_interval_95"], 2),
            number(values["precision"], None, 2),
            number(values["f1"], None, 2),
        ]
        for name, values in classes.items()
    }
    text = [
        "### Labels",
        *([f"![Scores of the labels on the {split} split](plots/labels.png)"] if _drawn(folder) else []),
    ]
    meaning = (
        "A label is predicted where its score reaches its threshold, on which recall, precision and F1 depend. Average "
        "precision is that of all thresholds; mAP is its mean over the labels."
    )
    order = lowest(classes)[:_LOWEST]
    if len(classes) <= _FEW:
        return [*text, table(heading, rows.values(), ("label",)), meaning]
    text += [f"The {len(order)} of {len(classes)} labels with the lowest average precision:"]
    text += [table(heading, [rows[name] for name in order], ("label",)), meaning]
    if len(classes) > _TABLED:
        return [*text, "All of them are in `results.json`, under `breakdown`."]
    summary = f"<details><summary>All {len(classes)} labels</summary>"
    return [*text, f"{summary}\n\n{table(heading, rows.values(), ('label',))}\n\n</details>"]


def _drawn(folder: Path) -> bool:
    return (folder / "plots/labels.png").is_file()


def lowest(classes: dict[str, dict]) -> list[str]:
    """Labels that any image has, those with the lowest average precision first."""
    known = [name for name, values in classes.items() if values["images"]]
    return sorted(known, key=lambda name: (classes[name]["average_precision"], -classes[name]["images"]))


def limits_of_sets(classes: dict[str, dict], split: str) -> list[str]:
    """What the scores of the labels say about a model's limits."""
    order = lowest(classes)
    named = [f"{plain(name)} ({number(classes[name]['average_precision'], None, 2)})" for name in order[:_WEAK]]
    items = [f"Lowest average precision: {', '.join(named)}."]
    few = [name for name in order if classes[name]["images"] < _ROUGH]
    if few:
        least = min(few, key=lambda name: classes[name]["images"])
        items.append(
            f"{len(few)} of {len(classes)} labels {'is' if len(few) == 1 else 'are'} on fewer than {_ROUGH} {split} "
            f"images (fewest: {plain(least)}, {classes[least]['images']}), so their metrics and thresholds are rough."
        )
    if unknown := [name for name in classes if not classes[name]["images"]]:
        items.append(f"No {split} image had {listed(map(plain, unknown), 10)}: not scored on them.")
    return items
