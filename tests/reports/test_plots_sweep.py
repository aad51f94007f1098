"""The curve of a learning-rate range test."""

import numpy as np
import pytest

from hf_imgcls.reports.plots.sweep import sweep

RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
LOSSES, SMOOTHED = [2.0, 2.2, 1.0, 0.9, 9.0], [2.1, 1.8, 1.2, 0.8, 7.0]


def test_the_curve_has_each_loss_and_the_suggestion_marked():
    (ax,) = sweep(RATES, LOSSES, SMOOTHED, 1e-2, 1e-1).axes
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["of each step"].get_xydata().tolist() == [list(point) for point in zip(RATES, LOSSES, strict=True)]
    assert lines["smoothed"].get_ydata().tolist() == SMOOTHED
    assert [*lines["suggested: 0.01"].get_xdata(), *lines["suggested: 0.01"].get_ydata()] == [1e-2, 1.2]
    assert [*lines["lowest loss: 0.1"].get_xdata(), *lines["lowest loss: 0.1"].get_ydata()] == [1e-1, 0.8]
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "training loss")
    # Where the loss diverges the axis does not follow, or what is before would be a flat line.
    assert ax.get_ylim() == pytest.approx((0.8 - 0.15 * 1.3, 2.1 + 0.5 * 1.3))


def test_without_a_suggestion_none_is_marked():
    (ax,) = sweep(RATES, LOSSES, np.array(SMOOTHED), None, 1e-1).axes
    assert not [line for line in ax.lines if line.get_label().startswith("suggested")]
