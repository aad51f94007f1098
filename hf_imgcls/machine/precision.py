"""Full float32, where results must not depend on the device's faster formats."""

import contextlib

import torch


@contextlib.contextmanager
def exact_float32():
    """Full float32 on the device: a GPU's TF32 alone makes larger differences than scores may have.

    By the settings that `training.tf32` is made of: torch refuses to read the older ones once these were used.
    """
    settings = (torch.backends, torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = "none"
            if setting.fp32_precision != precision:  # what it had was its own, not that of all
                setting.fp32_precision = precision
