"""The folder of a run that has finished, made without training, with everything that may lie in one."""

import json
import sys

from conftest import COLOURS
from tiny import tiny_model, tiny_processor


def finished_run(folder, family: str = "vit"):
    model = tiny_model(family)
    if family == "convnet":
        type(model.config).register_for_auto_class()
        type(model).register_for_auto_class("AutoModelForImageClassification")
    model.save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    recipe = {
        "data": {"path": str(folder.parent / "my photos"), "label_names": list(COLOURS)},
        "model": {"checkpoint": "/scratch/weights/deit"},
        "training": {"output_dir": str(folder)},
    }
    command = f"{sys.prefix}/bin/hf-imgcls train {folder.parent}/recipe.json data.path=/scratch/images"
    results = {"labels": list(COLOURS), "parity": {"passed": True}, "command": command, "scores": {}}
    card = '---\ntags: [a]\n---\nmodel="colours"\n![](plots/curves.png)\n'
    for name, content in {
        "recipe.json": json.dumps(recipe), "results.json": json.dumps(results), "splits.json": "{}",
        "history.json": "[]", "stages.json": "[]", "bad_images.csv": "file\nmrs_smith.jpg\n", "README.md": card,
        "plots/curves.png": "png", "plots/gallery.png": "png", "checkpoint-4/optimizer.pt": "state",
        "checkpoint-4/model.safetensors": "old", "stage-1/model.safetensors": "old", "runs/events.out": "log",
        "results.json.part": "{", "training_args.bin": "pickle",
        "report/report.html": "images of test", "report/splits.parquet": "names", "notes.txt": "mine",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def content_of(folder) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
