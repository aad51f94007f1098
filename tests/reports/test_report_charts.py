"""Charts of a report: places in the drawing, from values."""

import itertools
import re

import numpy as np
import pytest

from hf_imgcls.reports.html.charts import line_chart, reliability_chart, thinned
from hf_imgcls.reports.html.matrix import colours, matrix, together
from hf_imgcls.reports.html.scale import BOTTOM, LEFT, RIGHT, TOP, Axes, Line, short_number, ticks
from hf_imgcls.reports.report.curves import stage_curves
from hf_imgcls.reports.report.style import STYLE


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ((0, 3), [0, 1, 2, 3]),
        ((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ((0.62, 0.71), [0.62, 0.64, 0.66, 0.68, 0.7]),
        ((2, 2), [2]),
    ],
)
def test_ticks_are_round_numbers_within_the_ends(ends, found):
    assert ticks(*ends) == found


def test_numbers_of_axes_are_short():
    assert [short_number(v) for v in (0, 0.25, 1200, 7.5e-5, 1e-4)] == ["0", "0.25", "1,200", "7.5e-5", "1e-4"]


def points(chart: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'<polyline points="([^"]*)"', chart)
    return [[tuple(map(float, pair.split(","))) for pair in line.split()] for line in lines]


def test_a_curve_of_few_points_lies_where_its_values_are_and_shows_each():
    line = Line("training", np.array([0, 1, 2]), np.array([0.0, 0.5, 1.0]))
    chart = line_chart([line], Axes("Loss", "epoch", (0, 2), (0, 1), marked=(2, "best: epoch 2")), "words")
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    assert points(chart) == [[(LEFT, BOTTOM), middle, (RIGHT, TOP)]]
    assert chart.count("<circle") == 3
    mark = re.search(r'<line x1="([\d.]+)" x2="\1" y1="\d+" y2="\d+" class="marked"', chart)
    assert LEFT <= float(mark[1]) <= RIGHT
    assert 'text-anchor="end" class="marked">best: epoch 2' in chart  # to the left, where there is room


def test_a_gap_parts_a_curve_and_many_points_are_means_of_neighbours():
    gap = Line("", np.arange(4), np.array([1.0, np.nan, 2.0, 3.0]))
    chart = line_chart([gap], Axes("Loss", "step", (0, 3)), "words")
    assert [len(part) for part in points(chart)] == [1, 2]
    assert "nan" not in chart
    many = thinned(Line("", np.arange(1000), np.arange(1000.0)), 100)
    assert (many.x[0], many.y[0], len(many.y)) == (4.5, 4.5, 100)


def test_a_stage_has_curves_over_epochs_or_over_the_penalties_of_its_head():
    history = [{"step": n, "epoch": n / 4, "loss": 1.0, "learning_rate": 1e-4} for n in range(1, 9)]
    history += [{"step": 4 * n, "epoch": n, "eval_loss": 0.5, "eval_accuracy": 0.5} for n in (1, 2)]
    loss, metrics, rate = stage_curves({"history": history, "best_step": 8})
    assert "Best at epoch 2." in loss
    assert ">epoch</text>" in loss
    assert "validation accuracy" in metrics
    assert "<figcaption>Learning rate</figcaption>" in rate
    solved = [
        {"step": n, "penalty": p, "loss": 0.3, "eval_loss": 0.5, "eval_accuracy": 0.5} for n, p in ((1, 1.0), (2, 0.1))
    ]
    loss, metrics = stage_curves({"history": solved, "best_step": 2})
    assert "best: penalty 0.1" in loss
    assert stage_curves({"history": [], "best_step": None}) == []
    undefined = [{"step": 1, "epoch": 1.0, "loss": None}]  # as a file has NaN
    assert "without a number" in stage_curves({"history": undefined, "best_step": None})[0]


def test_names_of_places_do_not_touch():
    penalties = (1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5, 1e-6, 1e-7)
    for count, named in ((7, 7), (11, 6)):
        places = [(number, f"{penalty:g}") for number, penalty in enumerate(penalties[:count], 1)]
        line = Line("", np.arange(1, count + 1), np.linspace(1, 0, count))
        drawn = line_chart([line], Axes("Loss", "penalty", (0, count), (0, 1), x_ticks=places), "words")
        shown = re.findall(rf'<text x="([\d.]+)" y="{BOTTOM + 17}" [^>]*>([^<]+)<', drawn)
        assert len(shown) >= named
        for (left, one), (right, other) in itertools.pairwise(shown):
            assert float(right) - float(left) > 6 * (len(one) + len(other)) / 2


def test_a_reliability_diagram_has_a_bar_as_high_as_the_accuracy():
    bins = [{"low": 0.5, "high": 1.0, "images": 8, "score": 0.75, "accuracy": 0.25}]
    chart = reliability_chart(bins, "title")
    assert f'y="{BOTTOM - 0.25 * (BOTTOM - TOP):.1f}"' in chart
    assert f'y1="{BOTTOM - 0.75 * (BOTTOM - TOP):.1f}"' in chart
    assert "score 0.50 to 1.00: 8 images, accuracy 25.0%" in chart


def test_a_matrix_is_a_table_of_few_classes_and_a_picture_of_many():
    counts = np.array([[3, 1], [0, 0]])
    table = matrix(counts, ["<a>", "b"], "test")
    assert table.count('scope="row"') == table.count('scope="col"') == 2
    assert re.search(r'title="75.0% of 4">3</td>', table)
    assert "&lt;a&gt;" in table
    for classes in (26, 101, 400):
        picture = matrix(np.eye(classes, dtype=int), [f"class {i}" for i in range(classes)], "test")
        names = re.findall(r">(class \d+)</text>", picture)
        assert len(set(names)) == classes if classes < 112 else 100 <= len(set(names)) < 130
        assert picture.count("data:image/png;base64,") == 1
        assert f"{classes} of {classes} images lie on the diagonal" in picture
        assert ("One of 4 classes is named, and a cell has 2 of them a side." in picture) == (classes == 400)
        assert "true ↓" in picture


def test_right_cells_are_blue_wrong_ones_orange_and_a_rare_confusion_survives_being_drawn_small():
    counts = 50 * np.eye(300, dtype=int)
    counts[7, 200] = 1
    shades = colours(counts)
    assert shades[0, 0].argmax() == 2
    assert shades[7, 200].argmin() == 2
    assert (shades[8, 200] == 255).all()
    small = together(shades, 100)
    assert small.shape == (100, 100, 3)
    assert (small[2, 66] == shades[7, 200]).all()
    assert (small[0, 0] == shades[0, 0]).all()
    assert (small[5, 80] == 255).all()


def test_names_above_a_matrix_are_turned_as_a_whole():
    # Without it letters of Chinese and Korean stand upright in vertical text, and upside down once that is turned.
    (rule,) = re.findall(r"table.matrix thead span \{([^}]*)\}", STYLE)
    assert "rotate(180deg)" in rule
    assert "text-orientation: sideways" in rule
