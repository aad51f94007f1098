"""The map of a report: places from features, colours for classes with errors, words for what is shown."""

import re

import numpy as np
import pytest
from made_run import outputs

from hf_imgcls.reports.html.point_map import MOST_GROUPS, Points, point_map
from hf_imgcls.reports.report.image_map import map_content, map_section, principal_components, shown_groups
from hf_imgcls.scoring.scored import add_features
from hf_imgcls.scoring.sets import ScoredSets


@pytest.mark.parametrize("width", [3, 40])
def test_components_are_the_directions_of_the_largest_variance(width):
    random = np.random.default_rng(0)
    first, second = 10 * random.normal(size=20), 3 * random.normal(size=20)
    first -= first.mean()
    second -= second.mean()
    second -= first * (first @ second) / (first @ first)
    axes = np.linalg.qr(random.normal(size=(width, 3)))[0].T
    features = np.outer(first, axes[0]) + np.outer(second, axes[1]) + 5
    places, shares = principal_components(features.astype(np.float32))
    for found, expected in zip(places.T, (first, second), strict=True):
        sign = np.sign(expected[np.abs(expected).argmax()])
        np.testing.assert_allclose(found, sign * expected, atol=1e-3)
    np.testing.assert_allclose(shares, np.array([first @ first, second @ second]) / (first @ first + second @ second))
    assert places[np.abs(places[:, 0]).argmax(), 0] > 0


@pytest.mark.parametrize(("images", "width"), [(1, 4), (2, 1), (5, 1), (3, 9)])
def test_equal_or_few_features_have_places_too(images, width):
    places, shares = principal_components(np.ones((images, width), np.float32))
    assert places.shape == (images, 2)
    assert (places == 0).all()
    assert (shares == 0).all()


def test_few_classes_have_a_colour_each_and_of_many_those_with_the_most_errors():
    labels, wrong = np.array([3, 1, 1, 0]), np.zeros(4, bool)
    assert shown_groups(labels, wrong) == [0, 1, 3]
    labels = np.repeat(np.arange(101), 3)
    wrong = np.isin(labels, [7, 50, 100]) & (np.arange(len(labels)) % 3 == 0)
    assert shown_groups(labels, wrong) == [0, 1, 2, 7, 50, 100]


def scored(classes: int, each: int = 4, wrong: int = 3):
    """A split of clusters, of whose first images some are predicted as the next class."""
    labels = np.repeat(np.arange(classes), each)
    given = labels.copy()
    given[: wrong * each : each] = (given[: wrong * each : each] + 1) % classes
    features = np.random.default_rng(1).normal(size=(classes, 8))[labels] + np.arange(len(labels))[:, None] / 1e3
    rows = np.arange(len(labels))
    return add_features(outputs(list(zip(labels, given, strict=True)), classes), (rows, features.astype(np.float32)))


@pytest.mark.parametrize(("classes", "coloured", "grey"), [(2, 2, 0), (6, 6, 0), (25, 6, 19), (101, 6, 95)])
def test_the_map_is_readable_at_any_number_of_classes(classes, coloured, grey):
    output = scored(classes)
    names = [f"<{i}>" for i in range(classes)]
    content = map_content(output)
    assert (content["images"], content["of"], content["rows"]) == (len(output), len(output), list(range(len(output))))
    drawn = "".join(map_section(content, output, None, names, "test"))
    errors = int((output.predictions != output.label_ids).sum())
    assert drawn.count("<circle") == errors + 1, "a ring each, and one in the legend"
    assert drawn.count('class="marker"') == coloured + (grey > 0) + 1
    assert len(set(re.findall(r' stroke="(#\w+)" stroke-opacity="0.8"', drawn))) == coloured
    assert (f"{grey} other classes (" in drawn) == (grey > 0)
    assert "&lt;0&gt; (4 images, 1 wrong)" in drawn
    assert "image 0: labelled &lt;0&gt;, predicted &lt;1&gt;" in drawn
    told = re.search(r'aria-label="([^"]*)"', drawn)[1]
    assert told.startswith(f"Map of {len(output)} test images by the first two principal components")
    assert ("Coloured are the classes with the most errors" in drawn) == (grey > 0)


def test_a_point_lies_where_its_values_are_on_axes_of_one_scale():
    places = np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 2.0]])
    points = Points(
        places, np.array([0, 1, -1]), ["a", "b"], "1 other class", np.array([False, True, False]), ["x <b>"]
    )
    drawn = point_map("Map", points, ("first", "second"), "words")
    found = np.array(re.findall(r'd="M([\d.]+) ([\d.]+)', drawn)[:3], float)  # others are behind all groups
    other, first, second = found
    assert first[1] == second[1]
    assert second[0] - first[0] == pytest.approx(2 * (first[1] - other[1]), abs=0.2)
    assert other[0] == pytest.approx((first[0] + second[0]) / 2, abs=0.1)
    assert f'<title>x &lt;b&gt;</title><circle cx="{second[0]}" cy="{second[1]}"' in drawn
    assert (found > 0).all()
    assert (found[:, 0] < 360).all()


def test_markers_differ_without_their_colours():
    points = Points(np.zeros((6, 2)), np.arange(6), list("abcdef"), "", np.zeros(6, bool), [])
    drawn = point_map("Map", points, ("first", "second"), "words")
    markers = re.findall(r'<path d="M180.0 179.0([^>]*)/>', drawn)
    assert len({re.sub(r"#\w+", "", marker) for marker in markers}) == MOST_GROUPS == 6


def test_a_sample_is_said_and_a_network_without_features_too():
    output = scored(3, each=10)
    sampled = add_features(output, (np.array([0, 7, 29]), output.features[1][[0, 7, 29]]))
    content = map_content(sampled)
    assert content["rows"] == [0, 7, 29]
    drawn = "".join(map_section(content, sampled, None, ["a", "b", "c"], "validation"))
    assert "3 of 30 images, drawn at random. " in drawn
    assert drawn.count("<circle") == 2, "the second mistake is not in the sample"
    assert map_content(outputs([(0, 0)], 2)) is None
    assert "No map: " in "".join(map_section(None, None, None, [], "test"))


def test_without_errors_the_largest_classes_are_coloured():
    output = scored(8, wrong=0)
    drawn = "".join(map_section(map_content(output), output, None, list("abcdefgh"), "test"))
    assert "Coloured are the classes with the most images. " in drawn
    assert "<circle" not in drawn
    assert "ring" not in drawn


def test_rows_behind_the_last_and_what_is_no_number_are_left_out():
    features = np.array([[1, 2], [np.nan, 2], [3, 4], [5, 6]], np.float32)
    found = add_features(outputs([(0, 0), (1, 1), (1, 0)], 2), (np.array([0, 1, 2, 3]), features)).features
    assert (found[0].tolist(), found[1].tolist()) == ([0, 2], [[1, 2], [3, 4]])


def test_several_labels_an_image_are_one_group():
    has = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
    logits = np.where(has, 3, -3).astype(np.float32)
    logits[1, 2] = 3
    output = add_features(ScoredSets(logits, has), (np.arange(4), np.eye(4, dtype=np.float32)))
    drawn = "".join(map_section(map_content(output), output, None, ["a", "b", "c"], "test"))
    for words in ("a (1 image)", "b (1 image, 1 wrong)", "several labels (1 image)", "no label (1 image)"):
        assert words in drawn
    assert "image 1: labelled b, predicted several labels" in drawn
