"""Whether a network predicts several labels an image, and from which probability it does each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.models.saved import CONFIG
from hf_imgcls.scoring import read_rejection
from hf_imgcls.store import read_json, write_json
from hf_imgcls.words import one_line

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


def check_thresholds(config: PreTrainedConfig) -> None:
    """Refuse (InputError) thresholds that were written wrongly into a config.json by hand."""
    read_thresholds(config)
    try:
        read_rejection(config.to_dict())
    except ValueError as error:
        raise InputError(f"model: {error}") from None


def read_thresholds(config: PreTrainedConfig) -> np.ndarray | None:
    """Those that a network was saved with, shape (labels,); None where it has none.

    Raises:
        InputError: a label has none, or one that is no probability, as after a change by hand.
    """
    kept = getattr(config, LABEL_THRESHOLDS, None)
    if not is_multi_label(config) or kept is None:
        return None
    names = [config.id2label[i] for i in range(config.num_labels)]
    for name in names:
        value = kept.get(name) if isinstance(kept, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(
                f"model: {LABEL_THRESHOLDS} in {CONFIG}: found {one_line(str(value), 40)} for {name[:60]!r}, expected "
                f"a number of 0 to 1; correct it, or remove {LABEL_THRESHOLDS}"
            )
    return np.array([kept[name] for name in names], float)
