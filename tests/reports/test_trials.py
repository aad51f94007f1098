"""The trials of a search: the table, the cells of its file, and the plot."""

import pytest
from PIL import Image

from hf_imgcls.reports.plots.trials import trials
from hf_imgcls.reports.trials import TrialRow, best_trial, draw_trials, trial_cells, trial_table

ROWS = [
    TrialRow(1, "complete", 0.5, (0.4, 0.5), {"lr": 1e-3, "weights": None}, 12.0, ""),
    TrialRow(2, "stopped", None, (0.1,), {"lr": 0.123456, "weights": {"a": "b" * 40}}, 3.0, "worse"),
    TrialRow(3, "complete", 0.75, (0.75,), {"lr": 1e-2, "weights": "balanced"}, 11.0, ""),
    TrialRow(4, "failed", None, (), {"lr": 1e-4}, None, ""),
    TrialRow(5, "complete", 0.75, (0.75,), {"lr": 1e-1, "weights": None}, 11.0, ""),
]


def test_the_best_is_the_highest_or_the_lowest_and_of_equal_ones_the_first():
    assert best_trial(ROWS, maximize=True).number == 3
    assert best_trial(ROWS, maximize=False).number == 1
    assert best_trial(ROWS[1:2], maximize=True) is None


def test_the_table_has_a_row_for_each_trial():
    lines = [line.split() for line in trial_table(ROWS, "accuracy", ROWS[2])]
    assert lines[0] == ["trial", "state", "accuracy", "lr", "weights", "time"]
    assert lines[1] == ["1", "complete", "0.5000", "0.001", "null", "12", "s"]
    assert lines[2][:4] == ["2", "stopped", "-", "0.123"]
    assert lines[3][:4] == ["3", "complete", "0.7500", "*"]
    assert lines[4] == ["4", "failed", "-", "0.0001", "-", "-"]
    assert max(map(len, trial_table(ROWS, "accuracy", None))) < 100
    many = [ROWS[0]._replace(number=n) for n in range(1, 101)]
    assert [line.split()[0] for line in trial_table(many, "accuracy", None)][19:22] == ["19", "...", "81"]


def test_the_file_has_exact_values():
    assert trial_cells(ROWS, ["lr", "weights"])[1] == [
        2,
        "stopped",
        None,
        1,
        "0.123456",
        f'{{"a": "{"b" * 40}"}}',
        3.0,
        "worse",
    ]
    assert trial_cells(ROWS, ["lr", "weights"])[3][5] is None


def test_the_plot_has_each_trial_over_its_number_and_each_key():
    columns = {"lr": [1e-3, 1e-2, 1e-1], "weights": ["null", '"balanced"', "null"]}
    figure = trials([1, 3, 5], [0.5, 0.75, 0.7], columns, ("accuracy", 1), ["lr"])
    first, lr, weights = figure.axes
    assert first.lines[0].get_xydata().tolist() == [[1, 0.5], [3, 0.75], [5, 0.7]]
    assert lr.lines[0].get_xydata().tolist() == [[1e-3, 0.5], [1e-2, 0.75], [1e-1, 0.7]]
    assert (lr.get_xscale(), lr.get_xlabel()) == ("log", "lr")
    assert weights.lines[0].get_xdata().tolist() == [1, 0, 1]
    assert [label.get_text() for label in weights.get_xticklabels()] == ['"balanced"', "null"]
    assert [[*ax.lines[1].get_xdata(), *ax.lines[1].get_ydata()] for ax in figure.axes] == [
        [3, 0.75],
        [1e-2, 0.75],
        [0, 0.75],
    ]
    assert first.get_ylabel() == "validation accuracy"


@pytest.mark.parametrize("count", [1, 4, 5])
def test_there_is_a_panel_for_each_key_and_none_is_empty(count):
    figure = trials([1], [0.5], {f"k{n}": [n] for n in range(count)}, ("loss", 0), [])
    assert len(figure.axes) == 1 + count
    assert all(ax.lines for ax in figure.axes)


def test_the_plot_is_drawn_from_the_complete_trials(tmp_path):
    draw_trials(tmp_path, ROWS, ("accuracy", ROWS[2]), ["lr", "weights"], ["lr"])
    with Image.open(tmp_path / "plots/trials.png") as plot:
        assert min(plot.size) > 100
