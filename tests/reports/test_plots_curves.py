"""Curves across stages."""

import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from hf_imgcls.reports.plots.curves import curves, smoothed, stage_spans


def stage(number: int, steps: int, rate: float = 1e-3, every: int = 10) -> list[dict]:
    """What a stage logs: the loss every `every` steps, an evaluation in the middle and at the end."""
    log = [
        {"stage": number, "step": s, "epoch": s / steps, "loss": 1 / s, "learning_rate": rate, "grad_norm": 1.0}
        for s in range(every, steps + 1, every)
    ]
    for s in (steps // 2, steps):
        log.append({"stage": number, "step": s, "eval_loss": 2 / s, "eval_accuracy": s / 1000, "eval_macro_f1": 0.1})
    return [*log, {"stage": number, "step": steps, "train_runtime": 1.0, "train_loss": 0.5}]


def drawn(history, best):
    """The axes, after drawing without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = curves(history, best)
        FigureCanvasAgg(figure).draw()
    return figure.axes


def lines(ax, label: str):
    """The lines of one colour as that of a label: its curve in every stage."""
    colour = next(line.get_color() for line in ax.lines if line.get_label() == label)
    return [line for line in ax.lines if line.get_color() == colour and line.get_alpha() is None]


def upright(ax, style: str) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == style]


def rings(ax) -> list[tuple[float, float]]:
    return [(*line.get_xdata(), *line.get_ydata()) for line in ax.lines if line.get_markersize() == 8]


def test_stages_follow_each_other():
    assert stage_spans(stage(1, 100) + stage(2, 40) + stage(3, 60)) == {1: (0, 100), 2: (100, 140), 3: (140, 200)}
    assert stage_spans([{"step": 5, "loss": 1.0}]) == {1: (0, 5)}


def test_each_panel_has_its_curves_over_all_stages():
    loss, metrics, rate = drawn(stage(1, 100) + stage(2, 40, rate=5e-4), {})
    assert [ax.get_ylabel() for ax in (loss, metrics, rate)] == ["loss", "metrics", "learning rate"]
    assert rate.get_xlabel() == "step"
    training = lines(loss, "training")
    assert training[0].get_xdata().tolist() == list(range(10, 101, 10))
    assert training[1].get_xdata().tolist() == [110, 120, 130, 140]
    assert training[1].get_ydata() == pytest.approx([1 / 10, 1 / 20, 1 / 30, 1 / 40])
    assert [line.get_xdata().tolist() for line in lines(loss, "validation")] == [[50, 100], [120, 140]]
    assert [line.get_ydata().tolist() for line in lines(metrics, "validation accuracy")] == [[0.05, 0.1], [0.02, 0.04]]
    assert len(lines(metrics, "validation macro-F1")) == 2
    assert "validation top-5 accuracy" not in metrics.get_legend_handles_labels()[1]
    assert [line.get_ydata()[0] for line in rate.lines if len(line.get_xdata()) > 2] == [1e-3, 5e-4]


def test_stages_are_marked_and_named():
    axes = drawn(stage(1, 100) + stage(2, 40) + stage(3, 4, every=2), {})
    assert [upright(ax, "--") for ax in axes] == [[100, 140]] * 3
    assert [(t.get_text(), t.get_position()[0]) for t in axes[0].texts] == [
        ("stage 1", 50),
        ("stage 2", 120),
        ("3", 142),
    ]


def test_a_single_stage_is_not_named():
    loss, *_ = drawn([{**entry, "stage": 1} for entry in stage(1, 100)], {1: 50})
    assert not loss.texts
    assert upright(loss, "--") == []


def test_the_best_step_of_each_stage_is_marked_where_it_lies_across_stages():
    loss, metrics, rate = drawn(stage(1, 100) + stage(2, 40), {1: 50, 2: 40})
    assert upright(loss, ":") == upright(metrics, ":") == [50, 140]
    assert upright(rate, ":") == []
    assert rings(metrics) == [(50, 0.05), (50, 0.1), (140, 0.04), (140, 0.1)]
    assert rings(loss) == [(50, 2 / 50), (140, 2 / 40)]  # of validation alone
    assert loss.get_legend_handles_labels()[1] == ["training", "validation", "best step"]


def test_a_loss_that_is_no_number_leaves_a_gap():
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}, {"step": 3, "loss": float("nan")}]
    history += [{"step": 4, "loss": float("inf")}, {"step": 5, "loss": 1.0}, {"step": 5, "eval_loss": float("nan")}]
    loss, *_ = drawn(history, {})
    assert np.isnan(lines(loss, "training")[0].get_ydata()).tolist() == [False, True, True, True, False]
    assert lines(loss, "not a number")[0].get_xdata().tolist() == [2, 3, 4, 5]


def test_nothing_but_gaps_is_no_error():
    loss, _ = drawn([{"step": 1, "loss": None, "learning_rate": 0.0}], {})
    assert "not a number" in loss.get_legend_handles_labels()[1]


def test_without_evaluation_there_is_no_panel_for_it():
    loss, rate = drawn([entry for entry in stage(1, 100) if "eval_loss" not in entry], {})
    assert (loss.get_ylabel(), rate.get_ylabel()) == ("loss", "learning rate")
    assert loss.get_legend_handles_labels()[1] == ["training"]


def test_a_single_evaluation_is_a_point():
    _, metrics, _ = drawn([{"step": 3, "loss": 1.0}, {"step": 3, "eval_loss": 1.0, "eval_accuracy": 0.5}], {1: 3})
    (point,) = lines(metrics, "validation accuracy")
    assert (point.get_xdata().tolist(), point.get_marker()) == ([3], "o")


def test_nothing_logged_is_no_error():
    drawn([{"step": 0, "train_runtime": 1.0}], {})


def test_many_points_are_smoothed_over_what_was_logged():
    loss, *_ = drawn(stage(1, 1000), {})
    raw = next(line for line in loss.lines if line.get_alpha() is not None)
    (smooth,) = lines(loss, "training")
    assert raw.get_ydata() == pytest.approx([1 / s for s in range(10, 1001, 10)])
    assert smooth.get_xdata().tolist() == raw.get_xdata().tolist()
    assert smooth.get_ydata()[50] == pytest.approx(np.mean(raw.get_ydata()[46:55]))


def test_smoothing_takes_neighbours_that_are_numbers():
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0])
    assert smoothed(values, 1).tolist() == pytest.approx([2, 2, np.nan, 6, 6], nan_ok=True)


def test_stages_with_very_different_rates_are_all_seen():
    *_, rate = drawn(stage(1, 100, rate=1e-3) + stage(2, 40, rate=1e-5), {})
    assert rate.get_yscale() == "log"
    assert rate.get_ylim()[0] < 1e-5 < 1e-3 < rate.get_ylim()[1]
    *_, rate = drawn(stage(1, 100, rate=1e-3) + stage(2, 40, rate=5e-4), {})
    assert (rate.get_yscale(), rate.get_ylim()[0]) == ("linear", 0)


def test_metrics_that_are_all_one_do_not_stretch_the_axis_beyond():
    history = [{"step": step, "loss": 0.1, "eval_loss": 0.1, "eval_accuracy": 1.0} for step in (1, 2, 3)]
    low, high = curves(history, {1: 1}).axes[1].get_ylim()
    assert (low < 0.95, high) == (True, 1.01)


def test_a_users_own_metric_has_its_curve_beside_the_others():
    history = [
        {"step": step, "loss": 0.1, "eval_loss": 0.1, "eval_accuracy": 0.9, "eval_errors": 7.0, "eval_runtime": 1.0}
        for step in (1, 2, 3)
    ]
    metrics = drawn(history, {1: 1})[1]
    assert metrics.get_legend_handles_labels()[1] == ["validation accuracy", "validation errors", "best step"]
    assert lines(metrics, "validation errors")[0].get_ydata().tolist() == [7.0] * 3
    assert metrics.get_ylim()[1] > 7, "an axis that ends at 1 is for fractions"


def test_the_training_accuracy_stands_beside_that_of_validation():
    history = stage(1, 100)
    for entry in history[:10]:
        entry["train_accuracy"] = entry["step"] / 2000
    _, metrics, _ = drawn(history, {1: 50})
    named = ["training accuracy", "validation accuracy", "validation macro-F1", "best step"]
    assert metrics.get_legend_handles_labels()[1] == named
    assert lines(metrics, "training accuracy")[0].get_ydata() == pytest.approx([s / 2000 for s in range(10, 101, 10)])
    assert rings(metrics) == [(50, 0.05), (50, 0.1)]  # of validation alone
    metrics = drawn([entry for entry in history if "eval_loss" not in entry], {})[1]
    assert metrics.get_legend_handles_labels()[1] == ["training accuracy"]
