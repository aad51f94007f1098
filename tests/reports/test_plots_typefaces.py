"""Class names in any script, long ones shortened."""

import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.typefaces import families, set_fonts, shorten


def drawn(name: str) -> np.ndarray:
    """The pixels of a name; a character that no font has is an error."""
    figure = Figure(figsize=(2, 0.5))
    figure.text(0.05, 0.3, name)
    canvas = FigureCanvasAgg(set_fonts(figure, [name]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("고양이", "강아지"),
        ("连衣裙", "半身裙"),
        ("ワンピース", "スカートを"),
        ("قطة", "كلب"),
        ("कुत्ता", "बिल्ली"),
        ("แมว", "หมา"),
        ("חתול", "כלבה"),
        ("পাখি", "মাছি"),
        ("🐱", "🐶"),
    ],
)
def test_names_of_any_script_have_letters_of_their_own(name, other):
    assert not any(family.startswith("Last Resort") for family in families(name + other))
    first, second = drawn(name), drawn(other)
    assert (first < 128).sum() > 20
    assert (first != second).any()


def test_a_plain_name_needs_no_other_font():
    assert families("café, naïve, ñandú, кошка") == ["DejaVu Sans"]


def test_what_no_font_has_comes_as_the_box_of_its_script():
    assert families("cat \U00016800")[-1].startswith("Last Resort")  # Bamum


def test_joined_letters_are_joined():
    # The second letter of the pair takes another form beside the first: not the sum of both.
    pair, apart = drawn("كل"), drawn("ك\u200cل")
    assert (pair != apart).any()


def test_dollar_signs_are_no_formula():
    plain, formula = (np.flatnonzero((drawn(name) < 128).any(axis=0)) for name in ("abc", "a$b$c"))
    assert np.ptp(formula) > 1.4 * np.ptp(plain)  # two more signs


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert shorten("Staffordshire_bullterrier_1", 12) == "Staffo…ier_1"
    assert shorten("short", 12) == "short"
    assert shorten(" two\nlines\u3000here ", 20) == "two lines here"


def test_wide_characters_take_two_columns():
    assert shorten("가나다라마바", 12) == "가나다라마바"
    assert shorten("가나다라마바", 9) == "가나…마바"


def test_marks_stay_with_their_letter():
    decomposed = "가나".encode().decode()
    assert shorten("\u1100\u1161\u1102\u1161", 4) == decomposed  # as macOS writes the names of folders
    assert shorten("ñ" * 8, 5) == "ññ…ññ"
    assert shorten("n\u0303" * 8, 5) == "ññ…ññ"
    assert shorten("q\u0303" * 8, 5) == "q\u0303q\u0303…q\u0303q\u0303"
    assert shorten("👩‍🔬" * 5, 5) == "👩‍🔬…👩‍🔬"
