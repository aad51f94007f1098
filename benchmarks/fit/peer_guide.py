"""The image classification guide of transformers: Trainer, all weights, three epochs, in the environment of ours.

Its validation images go through the random crops of training, as in the guide; the test images through the network's
own image processor, as in `pipeline`.
"""

import time

from scored import Task, names


def main() -> None:
    task = Task.read()
    import torch
    from PIL import Image
    from torchvision.transforms import Compose, Normalize, RandomResizedCrop, ToTensor
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageClassification,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    set_seed(1)
    processor = AutoImageProcessor.from_pretrained(task.weights)
    labels = sorted(set(task.photos("train")[1]))
    model = AutoModelForImageClassification.from_pretrained(
        task.weights,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
    )
    side = processor.crop_size["height"]
    crop = Compose([RandomResizedCrop(side), ToTensor(), Normalize(processor.image_mean, processor.image_std)])

    class Photos(torch.utils.data.Dataset):
        def __init__(self, split: str):
            self.rows = list(zip(*task.photos(split), strict=True))

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, number: int):
            path, label = self.rows[number]
            return {"pixel_values": crop(Image.open(path).convert("RGB")), "labels": labels.index(label)}

    class Budget(TrainerCallback):
        def on_step_end(self, arguments, state, control, **_):
            control.should_training_stop = task.left <= 0

    arguments = TrainingArguments(
        output_dir=str(task.work / "guide"),
        remove_unused_columns=False,
        eval_strategy="epoch",
        save_strategy="epoch",
        learning_rate=5e-5,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=4,
        per_device_eval_batch_size=16,
        num_train_epochs=3,
        warmup_steps=0.1,
        logging_steps=10,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Photos("train"),
        eval_dataset=Photos("validation"),
        processing_class=processor,
        callbacks=[Budget()],
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
    )
    begun = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - begun
    epochs, paths, found = trainer.state.epoch, task.photos("test")[0], []
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(paths), 16):
            images = [Image.open(path).convert("RGB") for path in paths[start : start + 16]]
            found += names(model(**processor(images, return_tensors="pt")).logits, labels)
    task.report(found, round(epochs * len(trainer.train_dataset)), seconds, f"{epochs:.2f} of 3 epochs")


if __name__ == "__main__":
    main()
