"""What a report says of the scores themselves: whether accuracy and score agree, and what a temperature changes."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.reports.html.charts import reliability_chart
from hf_imgcls.reports.html.markup import Markup, table, tag
from hf_imgcls.words import number, plural


def calibration_section(content: Mapping[str, Any], main: str) -> list[Markup]:
    split = content["splits"][main]["calibration"]
    parts = []
    if split["error"] is not None:
        chart = reliability_chart(split["bins"], f"Accuracy by score, {main}")
        parts.append(tag("div", chart, class_="charts"))
        text = (
            f"Expected calibration error {split['error']:.4f}: how far accuracy and score are apart, as a mean over "
            f"{plural(len(split['bins']), 'bin')} weighted by their images. "
            "Bars below the orange lines: scores are too high."
        )
        parts.append(tag("p", text))
    return [*parts, *_temperature(content["temperature"])]


def _temperature(found: Mapping[str, Any]) -> list[Markup]:
    if found["value"] is None:
        return [tag("p", f"No temperature: {found['why']}.", class_="note")]
    fitted = f"a temperature of {found['value']:.4g}, fitted on {plural(found['images'], 'validation image')}"
    if found["applied"]:
        text = f"The saved model's logits are divided by {fitted}; the scores of this page are its own."
    else:
        text = (
            f"Temperature scaling would divide the logits by {fitted}. Predictions would stay as they are. The saved "
            "model does not have it; with calibration.temperature_scaling=true in the recipe its head has."
        )
    return [tag("p", text), _changes(found["splits"])]


def _changes(splits: Mapping[str, Any]) -> Markup:
    rows = []
    for split, both in splits.items():
        for key, name in (("loss", "loss"), ("calibration_error", "calibration error")):
            rows.append([f"{split}, {name}", *(number(both[when][key]) for when in ("before", "after"))])
    return table(["", "without temperature", "with temperature"], rows, "What the temperature changes")
