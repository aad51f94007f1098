"""The scores of each label where an image may have several, in place of a confusion matrix. Numbers in, figure out."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import DPI
from hf_imgcls.reports.plots.typefaces import set_fonts, shorten

_MOST = 60  # labels that are drawn: of more, those with the lowest average precision


def label_scores(classes: Mapping[str, Mapping], split: str) -> Figure:
    """Average precision of each label as a bar, the lowest last; precision and recall at its threshold as marks."""
    known = {name: values for name, values in classes.items() if values["images"]}
    order = sorted(known, key=lambda name: known[name]["average_precision"])[:_MOST]
    figure = Figure(figsize=(7, 1.2 + 0.24 * max(len(order), 2)), dpi=DPI, layout="constrained")
    ax, places = figure.subplots(), range(len(order))
    ax.barh(places, [known[name]["average_precision"] for name in order], color="#9ecae1", label="average precision")
    for key, mark in (("precision", "|"), ("recall", ".")):
        ax.plot([known[name][key] for name in order], places, mark, color="0.15", linestyle="none", label=key)
    ax.set_yticks(places, [f"{shorten(name, 30)} ({known[name]['images']:,})" for name in order], fontsize=8)
    ax.set(xlim=(0, 1.02), ylim=(-0.6, len(order) - 0.4))
    shown = f", the {_MOST} lowest of {len(known):,} labels" if len(known) > _MOST else ""
    ax.set_title(f"{split}{shown}; in brackets images with the label", fontsize=10)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08 - 0.6 / max(len(order), 2)), ncols=3, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return set_fonts(figure, order)
