"""Figures of images."""

import numpy as np
import pytest
from PIL import Image

from hf_imgcls.reports.plots.drawing import save
from hf_imgcls.reports.plots.gallery import augmented, gallery, mixed

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "grey": (99, 99, 99)}


def plain(colour: str, height: int = 20, width: int = 20) -> np.ndarray:
    return np.full((height, width, 3), COLOURS[colour], dtype=np.uint8)


def pixels(figure, folder) -> np.ndarray:
    save(figure, folder, "figure.png")
    return np.asarray(Image.open(folder / "plots" / "figure.png").convert("RGB"))


def area(figure, colour: str, folder) -> tuple[int, int]:
    """Height and width, in pixels, of the box around everything that has a colour."""
    rows, columns = np.nonzero((pixels(figure, folder) == COLOURS[colour]).all(axis=-1))
    return rows.max() - rows.min() + 1, columns.max() - columns.min() + 1


def texts(figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in (ax.title, *ax.texts) if text.get_text()]


@pytest.mark.parametrize("count", [1, 3, 16, 23])
def test_a_gallery_shows_every_image_under_its_label(count):
    labels = [f"class {i}" for i in range(count)]
    figure = gallery([np.full((9, 9, 3), i, dtype=np.uint8) for i in range(count)], labels)
    assert [ax.get_title() for ax in figure.axes] == labels
    assert [int(ax.images[0].get_array()[0, 0, 0]) for ax in figure.axes] == list(range(count))
    tops = [round(ax.get_position().y0, 6) for ax in figure.axes]
    assert tops == sorted(tops, reverse=True)  # from left to right, from top to bottom
    assert max(tops.count(top) for top in tops) == min(count, 5 if count == 23 else 4)


def test_images_keep_their_shape(tmp_path):
    figure = gallery([plain("red", 10, 40), plain("green", 40, 10), plain("blue", 640, 640)], ["wide", "tall", "large"])
    for colour, shape in {"red": (37.5, 150), "green": (150, 37.5), "blue": (150, 150)}.items():
        assert area(figure, colour, tmp_path) == pytest.approx(shape, abs=3), colour


def test_images_that_are_all_wide_leave_no_empty_room(tmp_path):
    wide, square = (gallery([plain("red", h, 40)] * 4, ["a"] * 4) for h in (10, 40))
    assert pixels(wide, tmp_path).shape[0] < 0.5 * pixels(square, tmp_path).shape[0]


def test_nothing_is_cut_off(tmp_path):
    figure = gallery([plain("red")] * 2, ["a label much longer than its image is wide", "고양이"])
    edges = pixels(figure, tmp_path)
    for edge in (edges[:3], edges[-3:], edges[:, :3], edges[:, -3:]):
        assert (edge == 255).all()


def test_augmented_has_a_row_for_each_image():
    draws = [[plain("green"), plain("blue")], [plain("blue"), plain("green")]]
    figure = augmented([plain("red"), plain("grey")], draws, ["고양이", "dog"])
    shown = [tuple(int(v) for v in ax.images[0].get_array()[0, 0]) for ax in figure.axes]
    assert shown == [COLOURS[c] for c in ("red", "green", "blue", "grey", "blue", "green")]
    assert texts(figure) == ["original", "고양이", "draw 1", "draw 2", "dog"]
    left = figure.axes[0].texts[0].get_window_extent()
    assert left.x1 < figure.axes[0].get_window_extent().x0


def test_what_is_not_random_is_shown_once():
    assert texts(augmented([plain("red")], [[plain("green")]], ["cat"])) == ["original", "cat", "in training"]


def test_mixed_names_the_two_classes_and_their_fractions():
    batches = [[plain("red"), plain("green")], [plain("blue"), plain("red")]]
    fractions = np.array([[[0.7, 0, 0.3], [0, 1, 0]], [[0.004, 0.996, 0], [0.5, 0, 0.5]]])
    figure = mixed(batches, fractions, ["고양이", "dog", "bird"], ["MixUp", "CutMix"])
    assert texts(figure) == ["MixUp", "70% 고양이\n30% bird", "100% dog", "CutMix", "100% dog", "50% 고양이\n50% bird"]
    below = figure.axes[0].texts[1].get_window_extent()
    assert below.y1 < figure.axes[0].get_window_extent().y0
    assert below.y0 > figure.axes[2].get_window_extent().y1
