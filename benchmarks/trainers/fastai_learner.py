"""fastai: its loaders with RandomResizedCrop and flip, and its Learner; in an environment of its own."""

import torch
from job import Job
from network import plain_network


def train(job: Job) -> None:
    from fastai.vision.all import (
        Adam,
        Callback,
        CancelValidException,
        CrossEntropyLossFlat,
        Flip,
        ImageDataLoaders,
        Learner,
        Normalize,
        ParamScheduler,
        RandomResizedCrop,
        SchedLin,
    )

    job.start()
    loaders = ImageDataLoaders.from_folder(
        job.folder,
        train="train",
        valid="validation",
        item_tfms=RandomResizedCrop(job.pixels),  # of validation images the centre
        batch_tfms=[Flip(), Normalize.from_stats(job.mean, job.std)],
        bs=job.batch,
        num_workers=job.workers,
        device=torch.device(job.device),
        drop_last=False,
    )

    def evaluate(network: torch.nn.Module) -> float:
        network.eval()
        with torch.no_grad():
            found = [(network(images).argmax(1) == labels).sum() for images, labels in loaders.valid]
        network.train()
        return int(sum(found)) / len(loaders.valid_ds)

    class Watch(Callback):
        def after_batch(self):
            if self.training and job.stepped(len(self.yb[0])):
                job.evaluated(evaluate(self.model))

        def before_validate(self):
            raise CancelValidException

    learner = Learner(
        loaders, plain_network(job), loss_func=CrossEntropyLossFlat(), opt_func=Adam, wd=0.0, cbs=[Watch()]
    )
    learner = {"bf16": learner.to_bf16, "fp16": learner.to_fp16}.get(job.precision, lambda: learner)()
    falling = ParamScheduler({"lr": SchedLin(job.learning_rate, 0.0)})
    with learner.no_bar(), learner.no_logging():
        learner.fit(job.epochs if job.target else 1000, job.learning_rate, cbs=[falling])


if __name__ == "__main__":
    Job.read().run(train)
