"""Recipes and overrides that nobody would write: `check` answers each with OK or one clean line, never a traceback."""

import copy
import json
import random
import unicodedata
from pathlib import Path

import pytest
from conftest import make_image

from hf_imgcls.cli import main
from hf_imgcls.data import load_data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/*.json"))
RECIPES = [json.loads(path.read_text()) for path in RECIPES if path.stem != "recipe.schema"]
ODD = [
    None, True, 0, -1, 1e-300, 1e300, 99999, 2**31, 2**70, "", "x" * 10_000, "a\0b", "\ud800", "\x1b[31mx", "\u202ex",
    "²", [], {}, [{}], {"": 1}, [[[]]], ["x"] * 500, "~nobody", "/dev/zero", "(a+)+$", "[", [-5], {"train": [3]},
    {"MixUp": {"alpha": 1e-300}}, {"Resize": {"size": 99999}}, {"RandomRotation": {"degrees": "abc"}},
    {"RandAugment": {"magnitude": 99}}, {"Pad": {"padding": 10**6}}, {"Pad": {"padding": -500}}, "LinearTransformation",
    {"RandomZoomOut": {"side_range": [1, 1000]}}, {"ElasticTransform": {"sigma": 1e7}}, {"RandomChoice": {}},
    {"RandomApply": {"transforms": []}}, {"ColorJitter": {"hue": 9}}, {"RandomErasing": {"value": ["a"]}}, "Lambda",
]  # fmt: skip
CELLS = ["", "\0", "\x1b[1m", '"', ";", "\t", ",,,", "\n\n", "NaN", "null", "9" * 5_000, "x" * 5_000, '{"a":' * 500,
         "[1,2]", "\ufeff", "\u202e", "/dev/zero", "../", "1e999", "true", "{}", "\\", "\r"]  # fmt: skip
KEYS = ["epochs", "", "²", "a.b", "train", "mix", "transforms", "\x1b[1m", "x" * 500]
MARKS = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def places(content, path=()):
    """The paths of all keys and items."""
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def mutate(recipe: dict, draw: random.Random) -> None:
    *path, key = draw.choice(list(places(recipe)))
    place = recipe
    for part in path:
        place = place[part]
    match draw.randrange(7):
        case 0 if isinstance(place, dict):
            place[draw.choice(KEYS)] = place.pop(key)
        case 1 if isinstance(place, dict):
            place[draw.choice(KEYS)] = copy.deepcopy(draw.choice(ODD))
        case 2:
            del place[key]
        case 3:
            place[key] = draw.choice(([place[key]], {"x": place[key]}, str(place[key])))
        case 4 if isinstance(place[key], int | float):
            place[key] = place[key] * draw.choice((1000, -1, 0, 0.3))
        case _:
            place[key] = copy.deepcopy(draw.choice(ODD))


def damage(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return draw.choice((
        text[:at], text.replace("1", "NaN", 1), '{"a":' * 20_000, text.replace(": 1", ": " + "9" * 5_000, 1),
        "\ufeff" + text, text.replace("{", '{"data":1,"data":2,', 1),
        text[:at] + draw.choice("\0\x1b}],\"é") + text[at:],
    ))  # fmt: skip


@pytest.mark.parametrize("part", range(4))
def test_check_answers_in_one_line(part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    file = tmp_path / "r.json"
    for number in range(8 * part, 8 * part + 8):
        draw = random.Random(number)
        recipe = copy.deepcopy(draw.choice(RECIPES))
        recipe["data"]["path"], overrides = "photos", []
        if number % 3:
            mutate(recipe, draw)
        else:
            path, value = draw.choice(list(places(recipe))), draw.choice(ODD)
            overrides = [f"{'.'.join(map(str, path))}={json.dumps(value) if number % 2 else value}"]
        text = json.dumps(recipe)
        file.write_text(damage(text, draw) if number % 6 == 5 else text)
        status = main(["check", str(file), *overrides])
        error = capsys.readouterr().err
        assert status in (0, 2), number
        lines = [line for line in error.split("\n") if line]
        assert len(lines) == (1 if status else 0), (number, error)
        assert all(len(line) < 400 for line in lines), number
        assert not any(unicodedata.category(each) in ("Cc", "Cs") or each in MARKS for each in "".join(lines)), number


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_tables_are_read_or_refused_in_one_line(kind, tmp_path):
    rows = [(f"{colour}{number}.png", colour) for colour in ("blue", "red") for number in range(4)]
    for name, colour in rows:
        make_image(colour, 0).save(tmp_path / name)
    lines = [f"{name},{colour}" for name, colour in (("image", "label"), *rows)]
    if kind == "jsonl":
        lines = [json.dumps({"image": name, "label": colour}) for name, colour in rows]
    table = "\n".join(lines)
    refused = []
    for number in range(6):
        draw = random.Random(number)
        at, file = draw.randrange(len(table)), tmp_path / f"{number}.{kind}"
        changed = (table[:at] + draw.choice(CELLS) + table[at:], table[:at], table.replace("red3", "red3\0"))
        file.write_text(changed[number % 3])
        try:
            load_data(DataSection(path=str(file)))
        except InputError as error:
            refused.append(str(error))
    assert not any("\n" in line for line in refused)
