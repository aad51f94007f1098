"""Images that go away or change after they were checked: a line with the name of the first, wherever they are read."""

import itertools
import os
import shutil
import time
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from PIL import Image
from tiny import tiny_processor
from torch.utils.data import DataLoader

from hf_imgcls.data import attach_transform, average_pixels, find_replaced, load_data, naming_changed
from hf_imgcls.data.prepared import prepare
from hf_imgcls.data.rows import entry, load_entries
from hf_imgcls.errors import ReadError
from hf_imgcls.images import EvalTransform, TrainTransform
from hf_imgcls.publishing import verify
from hf_imgcls.recipe import DataSection
from hf_imgcls.reports.figures import draw_training_images
from hf_imgcls.serving import parity
from hf_imgcls.serving.export import check


def read_in_training(rows, folder):
    attach_transform(rows, TrainTransform(["RandomHorizontalFlip"], tiny_processor(), range(3), 0))[0:12]


def read_in_two_workers(rows, folder):
    transformed = attach_transform(rows, EvalTransform(tiny_processor(), range(3)))
    list(DataLoader(transformed, 4, num_workers=2, collate_fn=list))


def make_copies(rows, folder):
    for row in rows:
        prepare(row, 8)


def read_headers(rows, folder):
    average_pixels(rows)


def draw_samples(rows, folder):
    stage = SimpleNamespace(augmentation=SimpleNamespace(train=[], mix=[]), number=1)
    images = TrainTransform([], tiny_processor(), range(3), 0)
    plan = SimpleNamespace(stage=stage, images=images, mixing=None)
    draw_training_images(folder, SimpleNamespace(splits={"train": rows}, labels=["a", "b", "c"]), [plan])


def check_parity(rows, folder):
    parity.compare_predictions(folder, rows, np.zeros((len(rows), 3)), "cpu")


def check_an_export(rows, folder):
    list(check.row_batches(rows, np.arange(len(rows)), [tiny_processor()], ""))


def compare_on_the_hub(rows, folder):
    list(verify.first_images(rows))


READERS = [
    read_in_training, make_copies, read_headers, draw_samples, check_parity, check_an_export,
    compare_on_the_hub,
]  # fmt: skip


def delete(root):
    for number in (2, 3):
        (root / "green" / f"{number:03d}.png").unlink()


def cut_off(root):
    file = root / "green" / "003.png"
    file.write_bytes(file.read_bytes()[:20])


def write_over(root):
    (root / "green" / "003.png").write_bytes(b"no image at all")


def delete_all(root):
    shutil.rmtree(root / "green")


EVENTS = {
    delete: r"/green/002\.png: was there when the images were checked, and is gone; put it back, then run",
    cut_off: r"/green/003\.png: could be read when the images were checked, and now cannot be: .*; put it back, then",
    write_over: r"/green/003\.png: could be read when .*: not an image, or its header is broken; put it back, then",
    delete_all: r"/green: was there when the images were checked, and is gone; put it back, then run",
}


@pytest.mark.parametrize(
    ("read", "event"),
    [*itertools.product(READERS, EVENTS), (read_in_two_workers, delete)],
    ids=lambda function: function.__name__,
)
@pytest.mark.usefixtures("undrawn")
def test_a_line_names_the_image_wherever_it_is_read(read, event, make_folder, tmp_path, monkeypatch):
    root = make_folder(4, classes=("green",))
    entries = [entry(str(file), file.name, 0) for file in sorted(root.glob("*/*.png"))]
    rows = load_entries(entries, datasets.ClassLabel(names=["a", "b", "c"])).select_columns(["image", "label"])
    rows = rows.add_column("row", range(len(rows)))
    config = SimpleNamespace(id2label={0: "a", 1: "b", 2: "c"})

    class Classifier:
        model = SimpleNamespace(config=config)

        def __call__(self, image, top_k):
            Image.open(image).load()
            return [{"label": name, "score": 1 / 3} for name in "abc"]

    monkeypatch.setattr(parity, "_open", lambda folder, device: Classifier())
    read(rows, tmp_path)  # as long as nothing happens
    event(root)
    if (plots := tmp_path / "plots").is_dir():
        shutil.rmtree(plots)
    with pytest.raises(ReadError, match=EVENTS[event]):
        read(rows, tmp_path)


def test_an_error_about_something_else_stays_what_it_is(make_folder):
    root = make_folder(1, classes=("green",))
    image = {"bytes": None, "path": str(root / "green" / "000.png")}
    with pytest.raises(ValueError, match="a bug"), naming_changed([image]):
        raise ValueError("a bug")


def test_images_that_were_replaced_while_a_run_read_them_are_named(make_folder):
    root = make_folder(train=4, validation=2)
    data = load_data(DataSection(path=str(root)))
    checked = time.time()
    assert find_replaced(data, checked) == {}
    touched, other = root / "train" / "red" / "000.png", root / "train" / "red" / "001.png"
    touched.touch()
    assert find_replaced(data, checked) == {}
    times = other.stat()
    shutil.copy(root / "train" / "blue" / "001.png", other)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    (root / "validation" / "blue" / "000.png").unlink()
    assert find_replaced(data, checked) == {"train": ["train/red/001.png"]}
    assert find_replaced(data, time.time() + 3600) == {}
