"""What a temperature changes: numbers for report.json and results.json, and lines for the console."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.scoring import Scored, ScoredSets, at_temperature, fit_temperature, reliability
from hf_imgcls.words import number, plural


def temperature_content(outputs: Mapping[str, Scored], applied: Mapping[str, Any] | None) -> dict[str, Any]:
    """The temperature that validation asks for and what it changes, or why there is none.

    Args:
        applied: of `temperature_changes`, where the logits of the saved model are divided by it already.
    """
    if applied:
        return {"applied": True, **applied}
    if any(isinstance(output, ScoredSets) for output in outputs.values()):
        return {"applied": False, "value": None, "why": "labels that are predicted by themselves have thresholds"}
    fitted = outputs.get("validation")
    if fitted is None:
        return {"applied": False, "value": None, "why": "there is no validation split that was scored to fit one on"}
    temperature = fit_temperature(fitted)
    if temperature is None:
        why = "no validation image is predicted wrongly, or one has no scores"
        return {"applied": False, "value": None, "why": why}
    after = {split: at_temperature(o, temperature) for split, o in outputs.items() if o.probabilities is not None}
    return {"applied": False, **temperature_changes(temperature, outputs, after)}


def temperature_changes(
    temperature: float, before: Mapping[str, Scored], after: Mapping[str, Scored]
) -> dict[str, Any]:
    """Ready for JSON: `value`, the validation `images` it was fitted on, and of `splits` loss and calibration error."""
    splits = {
        split: {when: _calibration(each) for when, each in (("before", before[split]), ("after", output))}
        for split, output in after.items()
    }
    return {"value": round(temperature, 6), "images": len(before["validation"]), "splits": splits}


def _calibration(output: Scored) -> dict[str, Any]:
    return {"loss": round(float(-output.log_likelihoods.mean()), 6), "calibration_error": reliability(output)["error"]}


def describe_temperature(found: Mapping[str, Any]) -> list[str]:
    """A line on the temperature, and one on each split."""
    lines = [
        f"calibration: logits are divided by {found['value']:.4g}, a temperature that was fitted on "
        f"{plural(found['images'], 'validation image')}"
    ]
    for split, both in found["splits"].items():
        changes = [
            f"{name} {number(both['before'][key])} to {number(both['after'][key])}"
            for key, name in (("loss", "loss"), ("calibration_error", "calibration error"))
        ]
        lines.append(f"calibration: {split}: {', '.join(changes)}")
    return lines
