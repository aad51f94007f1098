"""The way of transformers' image classification example: PIL transforms in the dataset, a collate function, Trainer.

All else has the defaults of TrainingArguments, but for what the job says: `example` as it is, without workers;
`example-workers` with as many as the others have, and persistent.
"""

from pathlib import Path

import torch
from job import Job
from network import transformers_network


def train(job: Job) -> None:
    from datasets import load_dataset
    from torchvision import transforms
    from transformers import Trainer, TrainingArguments
    from watch import Watch

    job.start()
    floats = [transforms.ToTensor(), transforms.Normalize(job.mean, job.std)]
    flip, crop = transforms.RandomHorizontalFlip(), transforms.CenterCrop(job.pixels)
    chains = {
        "train": transforms.Compose([transforms.RandomResizedCrop(job.pixels), flip, *floats]),
        "validation": transforms.Compose([transforms.Resize(round(job.pixels * 256 / 224)), crop, *floats]),
    }

    def transform(split: str):
        def apply(rows):
            rows["pixel_values"] = [chains[split](image.convert("RGB")) for image in rows["image"]]
            return rows

        return apply

    def collate(rows):
        pixels = torch.stack([row["pixel_values"] for row in rows])
        return {"pixel_values": pixels, "labels": torch.tensor([row["label"] for row in rows])}

    loaded = load_dataset("imagefolder", data_dir=str(job.folder))
    rows = {split: loaded[split].with_transform(transform(split)) for split in chains}
    workers = job.workers if job.peer == "example-workers" else 0
    length = {"num_train_epochs": job.epochs} if job.target else {"max_steps": job.last_step}
    arguments = TrainingArguments(
        str(Path(job.work) / "example"),
        per_device_train_batch_size=job.batch,
        per_device_eval_batch_size=job.batch,
        learning_rate=job.learning_rate,
        seed=job.seed,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        remove_unused_columns=False,
        eval_strategy="steps" if job.target else "no",
        eval_steps=job.every,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=job.device == "cpu",
        bf16=job.precision == "bf16",
        fp16=job.precision == "fp16",
        **length,
    )
    trainer = Trainer(
        transformers_network(job),
        arguments,
        data_collator=collate,
        train_dataset=rows["train"],
        eval_dataset=rows["validation"],
        callbacks=[Watch(job)],
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
    )
    trainer.train()


if __name__ == "__main__":
    Job.read().run(train)
