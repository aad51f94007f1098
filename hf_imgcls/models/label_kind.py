"""Whether a network predicts several labels an image, and from which probability it does each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedConfig

from hf_imgcls.models.saved import CONFIG
from hf_imgcls.store import read_json, write_json

# In config.json: by name, so that other names of the labels are not matched by position.
LABEL_THRESHOLDS = "label_thresholds"


def is_multi_label(config: PreTrainedConfig) -> bool:
    return config.problem_type == "multi_label_classification"


def set_thresholds(config: PreTrainedConfig, thresholds: Sequence[float]) -> None:
    """Keep the probability of each label, in the order of the outputs, from which it is predicted."""
    setattr(config, LABEL_THRESHOLDS, {config.id2label[i]: float(value) for i, value in enumerate(thresholds)})


def keep_thresholds(folder: Path, config: PreTrainedConfig) -> None:
    """Write the thresholds of a saved model, which are set after it was, into its config.json; nothing without any."""
    if read_thresholds(config) is not None:
        settings = read_json(folder / CONFIG)
        write_json(folder / CONFIG, {**settings, LABEL_THRESHOLDS: getattr(config, LABEL_THRESHOLDS)})


def applied_thresholds(config: PreTrainedConfig) -> np.ndarray | None:
    """Those of a network of several labels an image, one half where it has none; None of one label an image."""
    if not is_multi_label(config):
        return None
    found = read_thresholds(config)
    return np.full(config.num_labels, 0.5) if found is None else found


def thresholds_by_label(config: PreTrainedConfig) -> dict[str, float] | None:
    """Those of a network by the name of the label; None where it has none."""
    return None if read_thresholds(config) is None else dict(getattr(config, LABEL_THRESHOLDS))


def read_thresholds(config: PreTrainedConfig) -> np.ndarray | None:
    """Those that a network was saved with, shape (labels,); None where it has none, or not of all of its labels."""
    kept = getattr(config, LABEL_THRESHOLDS, None)
    if not is_multi_label(config) or not isinstance(kept, dict):
        return None
    found = [kept.get(config.id2label[i]) for i in range(config.num_labels)]
    known = all(isinstance(value, int | float) and 0 <= value <= 1 for value in found)
    return np.array(found, float) if known else None
