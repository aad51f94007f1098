"""ultralytics: its trainer of classifiers on ResNet-50 from scratch; of the networks here it has no other."""

import os
from pathlib import Path

from job import Job


def train(job: Job) -> None:
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    from ultralytics.models.yolo.classify import ClassificationTrainer

    job.start()
    trainer = ClassificationTrainer(
        overrides={
            "model": "yolov8-cls-resnet50.yaml",
            "data": str(job.folder),
            "epochs": job.epochs if job.target else 1000,
            "batch": job.batch,
            "imgsz": job.pixels,
            "workers": job.workers,
            "pretrained": False,
            "amp": job.half is not None,
            "device": "cpu" if job.device == "cpu" else 0,
            "project": str(Path(job.work) / "ultralytics"),
            "optimizer": "AdamW",
            "lr0": job.learning_rate,
            "weight_decay": 0.0,
            "warmup_epochs": 0.0,
            "erasing": 0.0,
            "auto_augment": None,
            "plots": False,
            "save": False,
            "val": False,
            "verbose": False,
        }
    )
    trainer.add_callback("on_train_batch_end", lambda trainer: job.stepped())
    trainer.train()


if __name__ == "__main__":
    Job.read().run(train)
