"""Scoring again with test-time augmentation (TTA), several views of each image; compared with the scores without it."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

from hf_imgcls.images import VIEWS, EvalTransform, ViewsTransform
from hf_imgcls.models import MeanOfViews
from hf_imgcls.scoring import Scored, compare_paired
from hf_imgcls.training import ImageTrainer, score_splits


def score_with(
    trainer: ImageTrainer, splits: dict, transform: EvalTransform, kinds: Sequence[str]
) -> tuple[dict[str, dict], dict[str, Scored], dict[str, Any] | None]:
    """Scores of one split and the scored split; of `kinds` of views with TTA, and what that gains and costs."""
    plain, outputs = score_splits(trainer, splits, transform)
    if not kinds:
        return plain, outputs, None
    several = ViewsTransform(transform.processor, transform.label_ids, kinds)
    of_views = ImageTrainer(MeanOfViews(trainer.model), copy.copy(trainer.args))
    scores, outputs_of_views = score_splits(of_views, splits, several)
    (name,) = scores
    # The map is of the images as they are: several views have several features.
    outputs_of_views[name] = dataclasses.replace(outputs_of_views[name], features=outputs[name].features)
    gain = {
        "kinds": list(kinds),
        "views": VIEWS[tuple(kinds)][0],
        "without": plain[name],
        "compared": compare_paired(outputs[name], outputs_of_views[name]),
        "seconds": round(of_views.clock.scoring, 3),
        "seconds_without": round(trainer.clock.scoring, 3),
    }
    return scores, outputs_of_views, gain
