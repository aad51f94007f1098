"""Text for people: counts, durations, sizes, lists of names."""

import json

import pytest

from hf_imgcls.words import (
    as_json,
    clean,
    csv_cell,
    csv_content,
    duration,
    escaped,
    listed,
    megabytes,
    plain,
    plural,
    table,
)


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "image", "1 image"), (0, "image", "0 images"), (1200, "image", "1,200 images"), (2, "class", "2 classes"),
        (3, "batch", "3 batches"), (2, "entry", "2 entries"), (2, "day", "2 days"), (1, "more label", "1 more label"),
        (2, "validation image", "2 validation images"),
    ],
)  # fmt: skip
def test_a_count_has_its_noun_in_the_right_number(count, noun, text):
    assert plural(count, noun) == text


def test_a_duration_is_in_units_one_thinks_in():
    assert [duration(seconds) for seconds in (0, 0.42, 59.4, 59.6, 61, 3599.7, 86400)] == [
        "0 s", "0.42 s", "59.4 s", "1 min 0 s", "1 min 1 s", "1 h 0 min", "24 h 0 min",
    ]  # fmt: skip


def test_a_long_list_says_how_many_more():
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(iter("abc"), 2) == "a, b and 1 more"
    assert listed([]) == ""


def test_a_size_is_in_megabytes():
    assert [megabytes(size) for size in (400_000, 1_234_000_000)] == ["0.4 MB", "1,234 MB"]


EVIL = "a\x1b[2J\x00\x85\u2028\u202e\ud800\r\nb"


def test_no_text_has_what_a_terminal_acts_on():
    assert clean(EVIL) == "a\ufffd[2J" + 7 * "\ufffd" + "b"
    assert escaped(EVIL) == r"a\x1b[2J\x00\x85\u2028\u202e\ud800\r\nb"
    assert json.loads(as_json({EVIL: [EVIL]})) == {EVIL: [EVIL]}
    assert as_json(EVIL).isprintable()
    assert as_json({"a": "b"}, indent=1) == '{\n "a": "b"\n}'


def test_names_are_no_markup_in_a_card():
    assert plain("a\x1b[0m &lt;b&gt; <i> https://x.org www.x.org") == (
        "a\ufffd\\[0m \\&lt;b\\&gt; \\<i\\> https\\://x.org www\\.x.org"
    )
    assert plain("cats & dogs") == "cats & dogs"


RUN = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\uff1d1", "=cmd|' /C calc'!A0", "'=1", "''=1"]


@pytest.mark.parametrize("text", [*RUN, "-1", "+1.5e3", "'n'", "\t=1", "plain", "", "\r\n"])
def test_a_cell_of_a_csv_is_no_formula_and_is_read_back(text):
    cell = csv_cell(text)
    assert cell == (f"'{text}" if text in RUN else escaped(text))
    assert csv_content(cell) == csv_content(csv_cell(text, raw=True)) == escaped(text)
    assert csv_cell(text, raw=True) == escaped(text) or text.startswith("'")
    assert csv_cell(-1.5) == -1.5


def test_numbers_in_a_table_are_not_broken_at_a_space():
    assert table(["class", "images"], [["my cat", "3 of 10"]], ["class"]) == (
        "| class | images |\n| --- | ---: |\n| my cat | 3\u00a0of\u00a010 |"
    )
