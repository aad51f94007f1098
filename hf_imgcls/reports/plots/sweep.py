"""The curve of a learning-rate range test."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import DPI


def sweep(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggested: float | None, minimum: float
) -> Figure:
    """Loss over learning rate, on a logarithmic axis, with the suggested rate and that of the lowest loss marked.

    Args:
        rates, losses, smoothed: of each step, shape (steps,).
    """
    figure = Figure(figsize=(8, 4.5), dpi=DPI, layout="constrained")
    ax = figure.subplots()
    ax.plot(rates, losses, color="C0", alpha=0.35, linewidth=0.9, label="of each step")
    ax.plot(rates, smoothed, color="C0", linewidth=1.8, label="smoothed")
    at = dict(zip(rates, smoothed, strict=True))
    if suggested is not None:
        ax.axvline(suggested, color="crimson", linestyle=":", linewidth=1.2)
        ax.plot(suggested, at[suggested], "o", markersize=8, color="crimson", label=f"suggested: {suggested:.2g}")
    ax.plot(minimum, at[minimum], "s", markersize=6, color="0.4", label=f"lowest loss: {minimum:.2g}")
    ax.set_xscale("log")
    ax.set_xlim(rates[0], rates[-1])
    low, high = min(smoothed), max(smoothed[: list(rates).index(minimum) + 1])
    ax.set_ylim(low - 0.15 * (high - low), high + 0.5 * (high - low))  # where it diverges, the curve leaves the figure
    ax.set_xlabel("learning rate")
    ax.set_ylabel("training loss")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9")
    ax.legend(frameon=False, fontsize=9)
    return figure
