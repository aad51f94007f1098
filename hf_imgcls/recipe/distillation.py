"""Distillation: the keys of a teacher, and what it cannot be combined with."""

from pydantic import Field

from hf_imgcls.recipe.base import Section


class DistillationSection(Section):
    """Distillation (arXiv:1503.02531): the training loss also follows a trained classifier, the teacher."""

    teacher: str | None = Field(None, min_length=1)
    """Folder or Hub id of a trained classifier of the same classes, such as another run's folder. It sees the same
    augmented images, and is neither trained nor saved."""
    revision: str | None = None
    """Branch, tag or commit of the teacher."""
    temperature: float = Field(2.0, gt=0, le=1000)
    """By which the logits of both are divided before their probabilities are compared; the higher, the more what the
    teacher makes of the other classes counts."""
    weight: float = Field(0.5, gt=0, le=1)
    """Weight of the loss on the teacher's probabilities; that of the loss on the labels is 1 - weight."""


def check_distillation(stage, key: str) -> None:
    """Refuse a stage that trains on features, of which the teacher sees no images; `key` names it, or is empty."""
    section = stage.distillation
    if section.teacher is None and (lost := section.model_fields_set - {"teacher"}):
        raise ValueError(f"{key}distillation.{min(lost)}: has no effect without a teacher; name one")
    if section.teacher is not None and stage.cache_features:
        raise ValueError(
            f'{key}cache_features: a teacher sees images, no features; give the stage a "distillation" of its own: {{}}'
        )
