import numpy as np

from hf_imgcls.reports.plots.classes import class_counts


def test_bars_are_the_counts_of_each_split_the_most_frequent_class_first():
    figure = class_counts({"train": np.array([3, 50, 7]), "test": np.array([1, 0, 4])}, ["cat", "모자", "dog"])
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["모자", "dog", "cat"]
    assert [[bar.get_width() for bar in bars] for bars in ax.containers] == [[50, 7, 3], [0, 4, 1]]
    assert ax.get_title(loc="left") == "3 classes; train 60, test 5 images"


def test_of_many_classes_the_counts_are_a_curve_and_the_extremes_are_named():
    counts = np.arange(1000)[::-1]
    (ax,) = class_counts({"train": counts}, [f"class {i}" for i in range(1000)]).axes
    assert np.array_equal(ax.lines[0].get_ydata(), counts)
    assert ax.texts[0].get_text().splitlines()[0].startswith("most: class 0 999, class 1 998")
    assert ax.texts[0].get_text().endswith("class 999 0")
