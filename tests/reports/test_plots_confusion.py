"""The confusion matrix."""

import itertools
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from hf_imgcls.reports.plots.confusion import confusion_matrix, count_confusions, most_confused
from hf_imgcls.reports.plots.drawing import save


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    return figure.axes[0]


def cells(ax) -> dict[tuple[int, int], str]:
    return {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in ax.texts}


def names_of(ax) -> list[str]:
    assert [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()]
    return [t.get_text() for t in ax.get_yticklabels()]


def test_rows_are_true_classes_and_columns_predicted_ones():
    counts = count_confusions(np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 2, 0], [0, 1, 0], [1, 0, 0]]


def test_two_classes_show_counts_and_fractions():
    ax = drawn(confusion_matrix(np.array([[1150, 50], [1, 99]]), ["고양이", "dog"], "test"))
    assert cells(ax) == {(0, 0): "1,150\n95.8%", (0, 1): "50\n4.2%", (1, 0): "1\n1.0%", (1, 1): "99\n99.0%"}
    assert names_of(ax) == ["고양이", "dog"]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true class", "predicted class")
    assert ax.get_title() == "test: 1,249 of 1,300 correct (96.1%)"


def test_colours_are_fractions_of_the_true_class():
    # A rare class that is always correct is as dark as a common one.
    ax = drawn(confusion_matrix(np.array([[900, 100], [0, 3]]), ["common", "rare"], "test"))
    assert ax.images[0].get_array().tolist() == [[0.9, 0.1], [0.0, 1.0]]
    assert (ax.images[0].norm.vmin, ax.images[0].norm.vmax) == (0, 1)


def test_a_class_without_images_is_grey():
    ax = drawn(confusion_matrix(np.array([[0, 0], [2, 2]]), ["none", "some"], "test"))
    assert np.ma.getmaskarray(ax.images[0].get_array()).tolist() == [[True, True], [False, False]]
    assert cells(ax)[0, 0] == "0"
    pixels = ax.images[0].to_rgba(ax.images[0].get_array(), bytes=True)
    assert pixels[0, 1, :3].tolist() == [229, 229, 229]


def test_nothing_scored_is_no_error():
    assert drawn(confusion_matrix(np.zeros((2, 2), int), ["a", "b"], "test")).get_title() == "test: 0 of 0 correct"


def test_zeros_off_the_diagonal_stay_empty():
    ax = drawn(confusion_matrix(np.diag([3] * 10), [f"class {i}" for i in range(10)], "test"))
    assert cells(ax) == {(i, i): "3" for i in range(10)}


@pytest.mark.parametrize(
    ("names", "rotation"), [("0 1 2", 0), ("티셔츠 원피스 모자", 0), ("longsleeve t-shirt hat", 40)]
)
def test_names_that_fit_below_their_cells_are_not_slanted(names, rotation):
    ax = drawn(confusion_matrix(np.eye(3, dtype=int), names.split(), "test"))
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {rotation}
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert rotation or all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@pytest.fixture(scope="module")
def hundred():
    counts = np.eye(101, dtype=int) * 240
    counts[7, 40], counts[3, 2], counts[100, 0] = 9, 5, 6
    figure = confusion_matrix(counts, [f"class number {i}" for i in range(101)], "test")
    drawn(figure)
    return figure


def test_at_101_classes_every_one_is_named_and_names_do_not_overlap(hundred):
    ax = hundred.axes[0]
    assert names_of(ax) == [f"class number {i}" for i in range(101)]
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(lower.y1 <= upper.y0 + 1 for upper, lower in itertools.pairwise(boxes))
    assert min(box.height for box in boxes) >= 7  # pixels, of capitals and descenders
    assert not ax.texts


def test_at_101_classes_the_most_confused_pairs_are_listed(hundred):
    lines = [text.get_text() for text in hundred.axes[2].texts]
    assert lines[1:] == [
        "9", "4%", "class number 7 → class number 40",
        "6", "2%", "class number 100 → class number 0",
        "5", "2%", "class number 3 → class number 2",
    ]  # fmt: skip


def test_at_101_classes_nothing_is_cut_off(hundred, tmp_path):
    save(hundred, tmp_path, "confusion_matrix.png")
    pixels = np.asarray(Image.open(tmp_path / "plots" / "confusion_matrix.png").convert("RGB"))
    assert max(pixels.shape) < 2600
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (edge == 255).all()


def test_at_a_thousand_classes_some_are_named():
    ax = confusion_matrix(np.eye(1000, dtype=int), [str(i) for i in range(1000)], "test").axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()][:3] == ["0", "8", "16"]
    assert ax.get_yticks().tolist()[:3] == [0, 8, 16]


def test_most_confused_leaves_out_what_is_correct_and_what_never_happened():
    assert most_confused(np.array([[50, 1, 0], [0, 5, 4], [0, 0, 9]]), 5) == [(1, 2), (0, 1)]
    assert most_confused(np.array([[50, 1, 0], [0, 5, 4], [0, 0, 9]]), 1) == [(1, 2)]
