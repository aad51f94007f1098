"""Trainings on small streams. `python tests/streamed.py RECIPE FOLDER` trains a recipe, then resumes such a stream."""

import io
import json
import sys
import tarfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from accelerate.utils import gather_object
from conftest import COLOURS, make_image
from tiny import tiny_model, tiny_processor
from transformers import DefaultDataCollator, TrainingArguments

from hf_imgcls import train_classifier
from hf_imgcls.data.load import load_data
from hf_imgcls.data.streaming import attach_transform
from hf_imgcls.images.transforms import EvalTransform, TrainTransform
from hf_imgcls.recipe.sections import DataSection
from hf_imgcls.training.trainer import ImageTrainer

NAMES = list(COLOURS)
SHARDS = {"train-0": range(5), "train-1": range(5, 9), "train-2": range(9, 14), "validation-0": range(100, 105)}
BAD = (1, 9)  # images that cannot be read
AUGMENTATION = [{"RandomResizedCrop": {"scale": [0.3, 1.0]}}, "RandomHorizontalFlip"]
PASS = 12  # images of train that can be read
BATCH = {"per_device_train_batch_size": 3}
FOUR = {"train-0": range(5), "train-1": range(5, 9), "train-2": range(9, 14), "train-3": range(14, 18)}


def png(number: int) -> bytes:
    """The image of a row: its first pixel tells the number."""
    image = make_image(NAMES[number % 3], number, (20, 16))
    image.putpixel((0, 0), (number, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def write_parquet(folder: Path, bad=BAD, shards=SHARDS) -> Path:
    for name, numbers in shards.items():
        images = [b"bad %d" % i if i in bad else png(i) for i in numbers]
        table = pa.table({"image": images, "label": [NAMES[i % 3] for i in numbers]})
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def write_tars(folder: Path, bad=BAD) -> Path:
    for name, numbers in SHARDS.items():
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            for i in numbers:
                image = b"bad %d" % i if i in bad else png(i)
                for ending, content in (("png", image), ("cls", str(i % 3).encode())):
                    member = tarfile.TarInfo(f"{i:03d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return folder


class Seeing(ImageTrainer):
    """Notes the images of each batch that it trains on, (pass, number of the image), and their places."""

    def training_step(self, model, inputs, *args, **kwargs):
        self.places.append(inputs["place"].tolist())
        self.seen.append([(self.position.epoch, place[3]) for place in inputs["place"].tolist()])
        return super().training_step(model, inputs, *args, **kwargs)


def make_trainer(data: Path, output: Path, **training) -> Seeing:
    """A trainer that saves every step: of three shards, with a shuffle buffer of 5."""
    splits = load_data(DataSection(path=str(data), streaming=True, label_names=NAMES, shuffle_buffer=5)).splits
    scoring = EvalTransform(tiny_processor(), range(3))
    images = TrainTransform(AUGMENTATION, scoring.processor, range(3), seed=3)
    arguments = {
        "per_device_train_batch_size": 5, "learning_rate": 5e-3, "max_steps": 8, "save_strategy": "steps",
        "save_steps": 1, "eval_strategy": "epoch", "logging_steps": 2, "remove_unused_columns": False,
        "label_names": ["labels"], "dataloader_pin_memory": False, "disable_tqdm": True, **training,
    }  # fmt: skip
    trainer = Seeing(
        tiny_model("vit"),
        TrainingArguments(str(output), **arguments),
        data_collator=DefaultDataCollator(),
        train_dataset=attach_transform(splits["train"], images),
        eval_dataset=attach_transform(splits["validation"], scoring),
        processing_class=scoring.processor,
        images=images,
    )
    trainer.seen, trainer.places = [], []
    return trainer


def outcome(trainer: Seeing) -> dict:
    """The weights and the history, without the time that it took."""
    timed = ("runtime", "per_second", "time", "flos")
    history = [
        {key: value for key, value in entry.items() if not any(word in key for word in timed)}
        for entry in trainer.state.log_history
    ]
    return {"weights": {name: value.tolist() for name, value in trainer.model.state_dict().items()}, "history": history}


def compare_resumed(data: Path, folder: Path, steps: list[int], **training) -> tuple[Seeing, dict[int, bool]]:
    """An uninterrupted trainer; and by step, whether a training that is resumed there ends in the same way."""
    whole = make_trainer(data, folder / "run", **training)
    whole.train()
    same = {}
    for step in steps:
        resumed = make_trainer(data, folder / "resumed", **{**training, "save_strategy": "no"})
        resumed.train(resume_from_checkpoint=str(folder / "run" / f"checkpoint-{step}"))
        left = len(resumed.seen)
        # The places are what a second resume goes by.
        went_on = resumed.seen == whole.seen[-left:] and resumed.places == whole.places[-left:]
        same[step] = outcome(resumed) == outcome(whole) and left > 0 and went_on
    return whole, same


def main(recipe: str, folder: Path) -> None:
    """Write report.json, of a launch of several processes."""
    train_classifier(recipe)
    trained, same = compare_resumed(folder, folder, [1, 3], max_steps=4, **BATCH)
    scored, _ = trained.score(trained.eval_dataset, "validation", range(500))
    divided, same_divided = compare_resumed(folder / "four", folder / "four", [1, 3], max_steps=4, **BATCH)
    report = {
        "divided": {"same": list(same_divided.values()), "seen": gather_object([divided.seen])},
        "same": list(same.values()),
        "seen": gather_object([trained.seen]),
        "labels": scored.label_ids.tolist(),
        "sample": scored.sample[0].tolist(),
    }
    if trained.is_world_process_zero():
        (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
    main(sys.argv[1], Path(sys.argv[2]))
