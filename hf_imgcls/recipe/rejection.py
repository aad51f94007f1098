"""The section `rejection` of a recipe, and what it goes with."""

from typing import Literal

from pydantic import Field

from hf_imgcls.recipe.base import Section


class RejectionSection(Section):
    """None of these: a threshold, set on the validation images, below which an image is predicted as none of the
    classes."""

    by: Literal["score", "energy", "distance"] | None = None
    """What has to reach the threshold: score, the highest probability, energy, the logarithm of the sum of the
    logits' exponentials (arXiv:2010.03759), or distance, the cosine similarity of the feature before the head with the
    nearest class. Off if left out."""
    keep: float | None = Field(None, gt=0, le=1)
    """Fraction of the validation images that keep their label; 0.95 if neither it nor unknown_path is given."""
    unknown_path: str | None = Field(None, min_length=1)
    """A folder of images, or an image, of none of the classes: without keep they choose the threshold, together with
    validation; with it they only measure it."""


def check_rejection(recipe: Section) -> None:
    """A ValueError where the section asks for what cannot be."""
    section = recipe.rejection
    if section.by is None:
        if given := section.model_fields_set - {"by"}:
            raise ValueError(f"rejection.{min(given)}: needs rejection.by, score, energy or distance")
        return
    if section.by != "score" and recipe.ensemble.networks and recipe.ensemble.average:
        raise ValueError(
            f"rejection.by: averaged probabilities have no {section.by} (their energy is always 0, and each network "
            "has features of its own); score works for an ensemble"
        )
    if section.by == "distance" and recipe.data.streaming:
        raise ValueError("rejection.by: distance reads training images again, which a stream cannot; score or energy")
    if getattr(recipe.model, "multi_label", False):
        raise ValueError("rejection: an image of several labels may have none of them already; leave it out")
