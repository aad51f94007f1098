"""AutoGluon MultiModal's defaults, with weights of ours, in its own environment."""

import time

from scored import Task


def main() -> None:
    task = Task.read()
    import lightning.pytorch as lightning
    import pandas
    from autogluon.multimodal import MultiModalPredictor

    trained = []  # images and seconds of each training: AutoGluon keeps no trainer
    fit = lightning.Trainer.fit

    def timed(trainer, *arguments, **options):
        begun = time.monotonic()
        fit(trainer, *arguments, **options)
        batches = trainer.fit_loop.total_batch_idx + 1  # over all epochs
        trained.append((trainer.global_step, batches, time.monotonic() - begun, str(trainer.precision)))

    lightning.Trainer.fit = timed
    tables = {
        split: pandas.DataFrame(dict(zip(("image", "label"), task.photos(split), strict=True)))
        for split in ("train", "validation", "test")
    }
    kind = "binary" if tables["train"]["label"].nunique() == 2 else "multiclass"  # it refuses two classes as multiclass
    predictor = MultiModalPredictor(label="label", problem_type=kind, path=str(task.work / "autogluon"))
    predictor.fit(
        tables["train"],
        tuning_data=tables["validation"],
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": str(task.weights),
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
        },
        time_limit=task.left,
        seed=1,
    )
    predicted = predictor.predict(tables["test"][["image"]]).tolist()
    steps, batches, seconds, precision = trained[0]
    sizes = predictor._learner._config.env
    images = batches * sizes.per_gpu_batch_size
    done = images / len(tables["train"])
    note = f"{done:.2f} of 20 epochs, {steps} steps of {sizes.batch_size}, {precision}"
    task.report(predicted, images, seconds, note)


if __name__ == "__main__":
    main()
