"""Models and photos that are exported, and the commands that do it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from conftest import COLOURS, make_image
from PIL import Image
from tiny import tiny_model, tiny_processor

from hf_imgcls.cli import main
from hf_imgcls.images.processors import process_image


def save(folder: Path, family: str = "convnet", data: Path | None = None) -> Path:
    """A model that predicts the colours; the folder of a run if it has data."""
    model, features = tiny_model(family).eval(), []
    pixels = torch.stack([process_image(tiny_processor(), make_image(colour, 50)) for colour in COLOURS])
    model.classifier.register_forward_hook(lambda module, inputs, outputs: features.append(inputs[0]))
    with torch.no_grad():
        model(pixel_values=pixels)
        middle = features[0].mean(dim=0)
        away = features[0] - middle
        model.classifier.weight.copy_(8 * away / away.square().sum(dim=1, keepdim=True))
        model.classifier.bias.copy_(-model.classifier.weight @ middle)
    model.save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    if data:
        recipe = {"data": {"path": str(data)}, "model": {"checkpoint": "x"}, "training": {"output_dir": str(folder)}}
        (folder / "recipe.json").write_text(json.dumps(recipe))
    return folder


def make_photos(root: Path, **splits: int) -> Path:
    for split, count in splits.items():
        for colour in COLOURS:
            (root / split / colour).mkdir(parents=True)
            for number in range(count):
                # Odd and even sides, one of them turned by its EXIF orientation.
                exif = Image.Exif()
                exif[274] = 6 if number == 1 else 1
                shape = (40 + number, 31)
                make_image(colour, number, shape).save(root / split / colour / f"{number}.png", exif=exif)
    return root


def predict(folder: Path, photos: Path, output: Path, *words: str) -> list[dict]:
    assert main(["predict", str(folder), str(photos), "--output", str(output), "--device", "cpu", *words]) == 0
    with output.open() as file:
        return list(csv.DictReader(file))


def one_line(capsys, *words: str, status: int = 2) -> str:
    capsys.readouterr()
    assert main(list(words)) == status
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("hf-imgcls: ")]
    assert len(lines) == 1, printed.err
    assert "Traceback" not in printed.err
    return lines[0]


def run_readme(exported_run, names: list[str], place: Path, capsys) -> tuple[dict, Path]:
    """Run the code of an export's README in `place`, the present folder, with these of its files and a photo.

    Its first line is the label that the model predicts, whose score is its own but for rounding.

    Returns:
        The code's variables, and the photo.
    """
    run, folder, *_ = exported_run
    photo = run.parent / "photos" / "test" / "red" / "1.png"
    lines = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "transformers" not in lines
    for name in names:
        shutil.copy(folder / name, place / name)
    Image.open(photo).save(place / "photo.jpg", "PNG", exif=Image.open(photo).getexif())
    found = {}
    exec(lines, found)
    (row,) = predict(run, photo, place / "answer.csv")
    assert capsys.readouterr().out.splitlines()[0] == row["label_1"]
    powers = np.exp(found["logits"] - found["logits"].max())
    assert abs(powers.max() / powers.sum() - float(row["score_1"])) < 0.02  # Pillow and torchvision round differently
    return found, photo
