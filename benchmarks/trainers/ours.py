"""Ours: a recipe with the job's settings; without those of the machine; or the head alone, solved on features."""

from pathlib import Path

from job import Job


def recipe(job: Job) -> dict:
    place = Path(job.network)
    known = {"checkpoint": str(place)} if place.is_dir() else {"architecture": job.network, "from_scratch": True}
    training = {
        "output_dir": "none",
        "per_device_train_batch_size": job.batch,
        "per_device_eval_batch_size": job.batch,
        "learning_rate": job.learning_rate,
        "seed": job.seed,
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "eval_strategy": "steps" if job.target else "no",
        "disable_tqdm": True,
    }
    length = {"num_train_epochs": job.epochs, "eval_steps": job.every} if job.target else {"max_steps": job.last_step}
    training |= length
    if job.device == "cpu":
        training["use_cpu"] = True
    if job.peer != "ours-defaults":
        training |= {"dataloader_num_workers": job.workers}
        training |= {"bf16": job.precision == "bf16", "fp16": job.precision == "fp16"}
    augmentation = {"train": ["RandomResizedCrop", "RandomHorizontalFlip"]}
    model = {**known, "image_size": job.pixels}
    return {"data": {"path": job.folder}, "model": model, "augmentation": augmentation, "training": training}


def train(job: Job) -> None:
    from watch import Watch

    from hf_imgcls.api.one_stage import open_stage

    job.start()
    with open_stage(recipe(job), (), None, "peers") as opened:
        trainer = opened.trainer(opened.plan)
        trainer.add_callback(Watch(job))
        trainer.train()


def solve(job: Job) -> None:
    """A whole run of a head solved on features, from the folder of photos to the checked model: all of it counts."""
    from hf_imgcls.api import train_classifier

    job.start()
    head = {"train": "head", "cache_features": True, "logistic_regression": True}
    asked = recipe(job)
    asked["training"] |= {"output_dir": str(Path(job.work) / "run"), "eval_strategy": "no"}
    found = train_classifier({**asked, "augmentation": {}, "stages": [head]})
    job.done, job.seen, job.spent = job.last_step, job.images, job.now() - job.begun
    job.evaluated(found["scores"]["validation"]["accuracy"])


if __name__ == "__main__":
    asked = Job.read()
    asked.run(solve if asked.peer == "ours-head" else train)
