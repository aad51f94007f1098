"""What a model card says of the results: scores, the parity check, classes, confusions."""

from pathlib import Path
from typing import Any

from hf_imgcls.reports.card.metadata import interval_of
from hf_imgcls.scoring import main_split, metrics_in
from hf_imgcls.serving import describe_parity
from hf_imgcls.words import Text, number, percent, plain, table, without_paths

_FEW = 20  # classes up to which every one stands in an open table
_TABLED = 250  # classes up to which every one stands in a table at all
_WORDS = ("", "class", "taken for", "most often taken for")  # headings of columns without figures
_WEAKEST, _PAIRS = 10, 10  # classes in the open table where not all are; confused pairs


def headline(results: dict[str, Any]) -> str:
    """The result in a sentence."""
    split = main_split(results)
    if split is None:
        return "It was not scored: the data had neither a validation nor a test split."
    values = results["scores"][split]
    low, high = values["accuracy_interval_95"]
    return (
        f"It gets **{percent(values['accuracy'])}** of {values['images']:,} {split} images right "
        f"(95 % interval {percent(low)} to {percent(high)})."
    )


def results_section(folder: Path, results: dict[str, Any]) -> Text:
    """Scores, the parity check, classes, and the confusion matrix."""
    split = main_split(results)
    if split is None:
        return []
    text = [("Results", "## Results"), ("Results: table", _scores(results)), ("Results: reading", _reading(results))]
    text.append(("Results: parity", _served(results["parity"])))
    classes = results.get("breakdown", {}).get(split, {}).get("classes", {})
    if classes:
        text += [("Classes", "### Classes"), *_classes(classes, trained_images(results), split)]
    return text + _confusions(folder, classes, split)


def _confusions(folder: Path, classes: dict[str, dict], split: str) -> Text:
    text, image = [], "plots/confusion_matrix.png"
    drawn = (folder / image).is_file()
    pairs = most_confused(classes)[:_PAIRS]
    if drawn or pairs:
        text.append(("Confusions", "### Confusions"))
    if drawn:
        text.append(("Confusions: matrix", f"![Confusion matrix of the {split} split]({image})"))
    if pairs:
        rows = [
            [plain(name), plain(other), f"{count:,} of {classes[name]['images']:,}", percent(part)]
            for name, other, count, part in pairs
        ]
        text.append(("Confusions: pairs", table(["class", "taken for", f"{split} images", "share"], rows, _WORDS)))
    return text


def most_confused(classes: dict[str, dict]) -> list[tuple[str, str, int, float]]:
    """Class, what it was taken for, how many of its images, and their share; the most images first."""
    pairs = [
        (name, other, count, count / values["images"])
        for name, values in classes.items()
        for other, count in values["answers"].items()
        if other != name
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3]))


def trained_images(results: dict[str, Any]) -> dict[str, int]:
    """Training images by class, where they were counted."""
    return results.get("per_class", {}).get("train", {})


def _scores(results: dict[str, Any]) -> str:
    scores = results["scores"]
    rows = [["images", *(f"{values['images']:,}" for values in scores.values())]]
    shown = {key: metric for values in scores.values() for key, metric in metrics_in(values).items()}
    for key, metric in shown.items():
        cells = (number(values.get(key), interval_of(results, split, key)) for split, values in scores.items())
        rows.append([metric.name[0].upper() + metric.name[1:], *cells])
    return table(["", *scores], rows, _WORDS)


def _reading(results: dict[str, Any]) -> str:
    best = "validation" in results["scores"] and any(
        stage["selected_checkpoint"] == "best" for stage in results["stages"]
    )
    chosen = (
        "The weights were chosen on the validation split, whose figures are therefore a little kind"
        if best
        else "The weights are those of the last step"
    )
    tested = (
        "the test split was scored once, at the end." if "test" in results["scores"] else "no test split was scored."
    )
    method = " Macro-F1: bootstrap over images." if results.get("breakdown") else ""
    return f"In brackets: 95 % intervals.{method} {chosen}; {tested}"


def _served(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "There was no split to compare the served model with."
    if not verdict["passed"]:
        wrong = {**verdict["mismatch"], "image": without_paths(verdict["mismatch"]["image"])}
        return f"**{plain_sentence(describe_parity({**verdict, 'mismatch': wrong}))}**"
    return (
        f"**Parity check passed.** `pipeline` on the saved folder reproduces the evaluated predictions on "
        f"{verdict['images']:,} of {verdict['of']:,} {verdict['split']} images (max abs. probability difference "
        f"{verdict['max_difference']:.1e})."
    )


def plain_sentence(text: str) -> str:
    """A sentence that may hold names, shown as it is."""
    return " ".join(plain(word) for word in text.split())


def _classes(classes: dict[str, dict], trained: dict[str, int], split: str) -> Text:
    heading = ["class", *(["training images"] if trained else []), f"{split} images", "recall", "precision", "F1"]
    heading.append("most often taken for")
    digits = 3 if min(values["images"] for values in classes.values()) >= 1000 else 2
    rows = {
        name: [
            plain(name),
            *([f"{trained.get(name, 0):,}"] if trained else []),
            f"{values['images']:,}",
            number(values["recall"], values["recall_interval_95"], digits),
            number(values["precision"], None, digits),
            number(values["f1"], None, digits),
            _mistaken_for(name, values["answers"]),
        ]
        for name, values in classes.items()
    }
    meaning = (
        "Recall: which share of a class's images was recognised (95 % interval). Precision: which share of the "
        "answers with that class was right."
    )
    if len(classes) <= _FEW:
        return [("Classes: table", table(heading, rows.values(), _WORDS)), ("Classes: reading", meaning)]
    weakest = [rows[name] for name in weakest_classes(classes)[:_WEAKEST]]
    text = [
        ("Classes: weakest", f"The {len(weakest)} of {len(classes)} classes that are recognised least:"),
        ("Classes: table", table(heading, weakest, _WORDS)),
        ("Classes: reading", meaning),
    ]
    if len(classes) > _TABLED:
        return [*text, ("Classes: all", "All of them are in `results.json`, under `breakdown`.")]
    summary = f"<details><summary>All {len(classes)} classes</summary>"
    return [*text, ("Classes: all", f"{summary}\n\n{table(heading, rows.values(), _WORDS)}\n\n</details>")]


def _mistaken_for(name: str, answers: dict[str, int]) -> str:
    wrong = [f"{plain(other)} ({count:,})" for other, count in answers.items() if other != name]
    return wrong[0] if wrong else "-"


def weakest_classes(classes: dict[str, dict]) -> list[str]:
    """Names of classes with images, those that are recognised least first."""
    known = [name for name, values in classes.items() if values["images"]]
    return sorted(known, key=lambda name: (classes[name]["recall"], -classes[name]["images"]))
