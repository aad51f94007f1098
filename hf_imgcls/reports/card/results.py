"""What a model card says of the results: scores, the parity check, classes, confusions."""

from pathlib import Path
from typing import Any

from hf_imgcls.reports.card.metadata import interval_of
from hf_imgcls.reports.card.sets import headline_of_sets, labels_section
from hf_imgcls.reports.rejection import rejection_section
from hf_imgcls.scoring import main_split, metrics_in, weakest_classes
from hf_imgcls.serving import describe_parity
from hf_imgcls.words import number, percent, plain, plural, table, without_paths

_FEW = 20  # classes up to which every one stands in an open table
_TABLED = 250  # classes up to which every one stands in a table at all
_WORDS = ("", "class", "predicted as", "most often confused with")  # headings of columns without numbers
_WEAKEST, _PAIRS = 10, 10  # classes in the open table where not all are; confused pairs


def headline(results: dict[str, Any]) -> str:
    """The result in a sentence."""
    split = main_split(results)
    if split is None:
        return "It was not scored: the data had neither a validation nor a test split."
    values = results["scores"][split]
    if "map" in values:
        return headline_of_sets(values, split)
    low, high = values["accuracy_interval_95"]
    baseline = values.get("majority_baseline")
    compared = f"; always predicting the most frequent class: {percent(baseline)}" if baseline is not None else ""
    return (
        f"Accuracy on {plural(values['images'], f'{split} image')}: **{percent(values['accuracy'])}** (95 % interval "
        f"{percent(low)} to {percent(high)}{compared})."
    )


def beside_accuracy(results: dict[str, Any]) -> list[str]:
    """What must be read with the accuracy of the headline."""
    split = main_split(results)
    return [
        f"**{split.capitalize()}: {plain_sentence(caution)}.**"
        for caution in results.get("cautions", {}).get(split, ())
    ]


def results_section(folder: Path, results: dict[str, Any]) -> list[str]:
    split = main_split(results)
    if split is None:
        return ["## Results", _parity(results["parity"])] if results["parity"] else []
    others = [
        f"**{other.capitalize()}: {plain_sentence(caution)}.**"
        for other, cautions in results.get("cautions", {}).items()
        for caution in cautions
        if other != split
    ]
    text = ["## Results", _scores(results), *others, _reading(results), *_calibrated(results)]
    text.append(_parity(results["parity"]))
    classes = results.get("breakdown", {}).get(split, {}).get("classes", {})
    if any("threshold" in values for values in classes.values()):
        return [*text, *labels_section(folder, classes, trained_images(results), split)]
    if classes:
        text += ["### Classes", *_classes(classes, trained_images(results), split)]
    return [*text, *_confusions(folder, classes, split), *rejection_section(results.get("rejection"))]


def _calibrated(results: dict[str, Any]) -> list[str]:
    if not (found := results.get("temperature")):
        return []
    return [
        f"Scores are calibrated by temperature scaling: the logits are divided by {found['value']:.4g}, fitted on "
        f"{plural(found['images'], 'validation image')}. It changes scores and loss, and no prediction."
    ]


def _confusions(folder: Path, classes: dict[str, dict], split: str) -> list[str]:
    text, image = [], "plots/confusion_matrix.png"
    if (folder / image).is_file():
        text.append(f"![Confusion matrix of the {split} split]({image})")
    rows = [
        [plain(name), plain(other), f"{count:,} of {classes[name]['images']:,}", percent(fraction)]
        for name, other, count, fraction in most_confused(classes)[:_PAIRS]
    ]
    if rows:
        text.append(table(["class", "predicted as", f"{split} images", "fraction"], rows, _WORDS))
    return ["### Confusions", *text] if text else []


def most_confused(classes: dict[str, dict]) -> list[tuple[str, str, int, float]]:
    """Class, what it was predicted as, how many of its images, and their fraction; the most images first."""
    pairs = [
        (name, other, count, count / values["images"])
        for name, values in classes.items()
        for other, count in values["predicted"].items()
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
        rows.append([metric.title, *cells])
    for name, key in (("Majority baseline", "majority_baseline"), ("mAP of random scores", "map_baseline")):
        if any(key in values for values in scores.values()):
            rows.append([name, *(number(values.get(key)) for values in scores.values())])
    return table(["", *scores], rows, _WORDS)


def _reading(results: dict[str, Any]) -> str:
    several = any("map" in values for values in results["scores"].values())
    method = f" {'mAP and F1' if several else 'Macro-F1'}: bootstrap over images." if results.get("breakdown") else ""
    if "average" in results:
        tested = "; the test split chose nothing" if "test" in results["scores"] else ""
        return (
            f"In brackets: 95 % intervals.{method} The averaged models, and their checkpoints, were selected on the "
            f"validation split, so validation metrics are slightly optimistic{tested}."
        )
    best = any(stage["selected_checkpoint"] == "best" for stage in results["stages"])
    chosen = (
        "The checkpoint was selected on the validation split, so validation metrics are slightly optimistic"
        if "validation" in results["scores"] and best
        else "The weights are those of the last step"
    )
    tested = "the test split was scored once, at the end" if "test" in results["scores"] else "no test split was scored"
    return f"In brackets: 95 % intervals.{method} {chosen}; {tested}."


def _parity(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return "There was no split for the parity check of the saved model."
    if not verdict["passed"]:
        wrong = {**verdict["mismatch"], "image": without_paths(verdict["mismatch"]["image"])}
        return f"**{plain_sentence(describe_parity({**verdict, 'mismatch': wrong}))}**"
    return (
        f"**Parity check passed**: `pipeline` on the saved folder reproduces the evaluated predictions on "
        f"{verdict['images']:,} of {plural(verdict['of'], verdict['split'] + ' image')} (max abs. probability "
        f"difference {verdict['max_difference']:.1e})."
    )


def plain_sentence(text: str) -> str:
    """A sentence that may hold names, shown as it is."""
    return " ".join(plain(word) for word in text.split())


def _classes(classes: dict[str, dict], trained: dict[str, int], split: str) -> list[str]:
    heading = ["class", *(["training images"] if trained else []), f"{split} images", "recall", "precision", "F1"]
    heading.append("most often confused with")
    digits = 3 if min(values["images"] for values in classes.values()) >= 1000 else 2
    rows = {
        name: [
            plain(name),
            *([f"{trained.get(name, 0):,}"] if trained else []),
            f"{values['images']:,}",
            number(values["recall"], values["recall_interval_95"], digits),
            number(values["precision"], None, digits),
            number(values["f1"], None, digits),
            next((f"{plain(n)} ({count:,})" for n, count in values["predicted"].items() if n != name), "-"),
        ]
        for name, values in classes.items()
    }
    meaning = (
        "Recall: the fraction of a class's images that are predicted as it (95 % interval). Precision: the fraction "
        "of the predictions of a class that are correct."
    )
    if len(classes) <= _FEW:
        return [table(heading, rows.values(), _WORDS), meaning]
    weakest = [rows[name] for name in weakest_classes(classes)[:_WEAKEST]]
    text = [
        f"The {len(weakest)} of {len(classes)} classes with the lowest recall:",
        table(heading, weakest, _WORDS),
        meaning,
    ]
    if len(classes) > _TABLED:
        return [*text, "All of them are in `results.json`, under `breakdown`."]
    summary = f"<details><summary>All {len(classes)} classes</summary>"
    return [*text, f"{summary}\n\n{table(heading, rows.values(), _WORDS)}\n\n</details>"]
