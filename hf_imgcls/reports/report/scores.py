"""What a report says first: the headline with its cautions, and the table of scores."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.reports.html.markup import Markup, table, tag
from hf_imgcls.scoring import main_metric, metrics_in
from hf_imgcls.words import number, percent, plural


def headline(content: Mapping[str, Any], main: str | None) -> list[Markup]:
    if main is None:
        text = "Nothing was scored: the data had neither a validation nor a test split."
        return [tag("p", text, class_="caution")]
    parts = [tag("p", *_main_score(content["splits"][main]["scores"], main), class_="headline")]
    if main == "validation":
        parts.append(tag("p", "Validation chose the checkpoint, so its scores are slightly optimistic."))
    for split, each in content["splits"].items():
        parts += [tag("p", f"{split}: {caution}", class_="caution") for caution in each["cautions"]]
    return parts


def _main_score(values: Mapping[str, Any], split: str) -> tuple[Markup, str]:
    """The metric that stands first, large, and what it is of."""
    images, main = plural(values["images"], f"{split} image"), main_metric(values)
    low, high = values[f"{main}_interval_95"]
    if main == "map":
        about = (
            f" mean average precision (mAP) on {images} (95 % interval {number(low)} to {number(high)}; of random "
            f"scores {number(values['map_baseline'])})."
        )
        return tag("strong", number(values["map"])), about
    about = (
        f" of {images} are right (95 % interval {percent(low)} to {percent(high)}). Always predicting the most "
        f"frequent class: {percent(values['majority_baseline'])}."
    )
    return tag("strong", percent(values["accuracy"])), about


def scores_section(content: Mapping[str, Any]) -> list[Markup]:
    splits = content["splits"]
    rows = [["images", *(f"{each['scores']['images']:,}" for each in splits.values())]]
    shown = {key: metric for each in splits.values() for key, metric in metrics_in(each["scores"]).items()}
    for key, metric in shown.items():
        rows.append(
            [
                metric.name,
                *(_with_interval(each["scores"].get(key), each["intervals_95"].get(key)) for each in splits.values()),
            ]
        )
    if any("macro" in each for each in splits.values()):
        for key in ("precision", "recall"):
            rows.append([f"macro {key}", *(_with_interval(*each["macro"][key]) for each in splits.values())])
        rows.append(["mean score of predictions", *(number(each["mean_top_score"]) for each in splits.values())])
    for key, name in (("majority_baseline", "majority baseline"), ("map_baseline", "mAP of random scores")):
        if any(key in each["scores"] for each in splits.values()):
            rows.append([name, *(number(each["scores"].get(key)) for each in splits.values())])
    rows.append(["calibration error", *(number(each["calibration"]["error"]) for each in splits.values())])
    note = (
        "In brackets: 95 % intervals; of accuracies Wilson's, of the loss that of a mean, of the others that of a "
        "bootstrap over the images. Loss: the mean of -log(score of the true class)."
    )
    return [table(["", *splits], rows, "Scores by split"), tag("p", note, class_="note")]


def _with_interval(value: float | None, ends) -> Markup:
    shown = number(value)
    if not ends or shown == "-":
        return Markup(shown)
    return tag("span", shown, tag("small", f" ({ends[0]:.4f} to {ends[1]:.4f})"))
