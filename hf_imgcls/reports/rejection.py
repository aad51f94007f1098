"""None of these: what a model's threshold does, in lines for the console and in sentences for the card."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.words import number, percent, plural


def describe_rejection(found: Mapping[str, Any] | None) -> list[str]:
    """A line for each scored split, and one for the images of no class."""
    if not found:
        return []
    below = f"{NONE_OF_THESE}: {found['by']} below {found['threshold']:.6g}"
    lines = [f"{split}: {below}: {_kept(values)}" for split, values in found["splits"].items()]
    return lines + ([f"images of no class: {_unknown(found)}"] if found.get("unknown") else [])


def rejection_section(found: Mapping[str, Any] | None) -> list[str]:
    """The card's paragraphs; nothing where the model has no threshold."""
    if not found:
        return []
    what = {
        "score": "highest probability",
        "energy": "energy (the logarithm of the sum of the logits' exponentials)",
        "distance": "highest cosine similarity with the mean of a class (of standardized features)",
    }
    on = found.get("set_on", "the validation images")
    how = f"keeps {percent(found['keep'])} of {on}"
    if not found["keep"]:
        how = f"tells {on} from {found['unknown']['images']:,} images of no class apart best"
    text = (
        f"An image whose {what[found['by']]} is below {found['threshold']:.6g} is predicted as `{NONE_OF_THESE}`: the "
    )
    text += f"threshold that {how}."
    lines = [f"- {split.capitalize()}: {_kept(values)}." for split, values in found["splits"].items()]
    lines += [f"- Images of no class: {_unknown(found)}."] if found.get("unknown") else []
    return ["### None of these", text, "\n".join(lines)]


def _kept(values: Mapping[str, Any]) -> str:
    images, kept = values["images"], values["kept"]
    if not kept:
        return f"keeps none of {plural(images, 'image')}"
    accuracy = number(values["accuracy"], values["accuracy_interval_95"])
    line = (
        f"keeps {kept:,} of {plural(images, 'image')} (coverage {values['coverage']:.4f}), accuracy on them {accuracy}"
    )
    return line if kept == images else f"{line}, on the others {values['accuracy_of_rejected']:.4f}"


def _unknown(found: Mapping[str, Any]) -> str:
    each = found["unknown"]
    chosen = ", which chose the threshold" if each["chose_threshold"] else ""
    return (
        f"{each['rejected']:,} of {each['images']:,} rejected{chosen}; AUROC {each['auroc']:.4f} against "
        f"{each['against']}"
    )
