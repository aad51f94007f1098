"""What test-time augmentation (TTA) gains and costs, in lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls.images import describe_views
from hf_imgcls.scoring import metrics_in
from hf_imgcls.words import number, plural, times


def cautions_of_tta(kinds: Sequence[str], rejects: bool) -> list[str]:
    """What must stand beside a score with TTA, of a model that may predict none of these or does not."""
    cautions = [
        f"with test-time augmentation, the mean of the probabilities of {describe_views(kinds)}; predict --tta "
        f"{','.join(kinds)} predicts so, pipeline() does not"
    ]
    if rejects:
        cautions.append(
            "none of these is decided without test-time augmentation, as its threshold was set, and not scored"
        )
    return cautions


def describe_tta(tta: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    """Each metric without and with it, the change with its interval, images that changed, and the time."""
    lines = []
    for key, metric in metrics_in(scores).items():
        change = tta["compared"].get(key)
        line = f"tta: {metric.name} {number(tta['without'][key])} without, {number(scores[key])} with"
        if change:
            low, high = change["interval_95"]
            shown = "" if low > 0 or high < 0 else "; no difference is shown"
            line += f": {change['change']:+.4f} (95 % interval, paired: {low:+.4f} to {high:+.4f}{shown})"
        lines.append(line)
    changed = tta["compared"]
    to_right, note = f"{changed['to_right']:,}", ""
    if changed["of"] == "labels":
        to_right, note = plural(changed["to_right"], "label"), "; their thresholds were set without it"
    lines.append(
        f"tta: {plural(changed['changed'], 'image')} predicted otherwise: {to_right} changed to right, "
        f"{changed['to_wrong']:,} to wrong{note}"
    )
    return [*lines, f"tta: {times(tta['seconds'], tta['seconds_without'])}, reading included"]
