"""What searches for a setting draw: the range test of the learning rate."""

from pathlib import Path

from hf_imgcls.reports.plots.drawing import import_plots, save_as
from hf_imgcls.training import Curve, Suggestion


def draw_sweep(file: Path, curve: Curve, found: Suggestion) -> None:
    """The curve of a range test as a PNG."""
    plots = import_plots("sweep")
    save_as(plots.sweep(curve.rates, curve.losses, found.smoothed, found.rate, found.minimum), file)
