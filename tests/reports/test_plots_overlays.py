"""Maps over their image: colours on values."""

import numpy as np
from matplotlib import colormaps

from hf_imgcls.reports.plots.overlays import COLOURS, explained, overlay


def test_more_is_lighter_and_what_is_not_seen_is_pale():
    image = np.full((4, 8, 3), (200, 30, 30), np.uint8)
    values = np.tile(np.linspace(0, 1, 8), (4, 1))
    values[3] = np.nan
    shown = overlay(image, values).astype(int)
    assert shown.dtype.kind == "i"
    assert (np.diff(shown[0].sum(axis=1)) > 0).all(), "ordered by lightness, without any colour"
    grey = 200 * 0.299 + 30 * 0.587 + 30 * 0.114
    lighter = 70 + grey * 185 / 255
    np.testing.assert_allclose(shown[0, 7], lighter / 2 + 127.5 * np.array(colormaps[COLOURS](1.0)[:3]), atol=1)
    pale = 255 - 0.3 * (255 - grey)
    np.testing.assert_allclose(shown[3], pale, atol=1)
    assert shown[3].min() > shown[:3, 0].max()


def test_the_figure_has_the_image_its_maps_and_their_captions():
    image = np.zeros((20, 30, 3), np.uint8)
    figure = explained(image, "사진.jpg\npredicted: 고양이 0.900", [image] * 4, [f"for 개 {n}" for n in range(4)])
    assert len(figure.axes) == 5
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert texts == ["사진.jpg\npredicted: 고양이 0.900", *(f"for 개 {n}" for n in range(4))]
    assert len({round(ax.get_position().y0, 3) for ax in figure.axes}) == 2, "three in a row"
