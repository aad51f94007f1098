"""fastai's `fine_tune` with the transforms of its vision tutorial, on a timm network with weights of ours.

`fine_tune` takes a number of epochs, not a time: the first epoch, of the head, and a batch of all weights are measured,
and as many epochs as fit are trained. It is cut off where the time ends all the same.
"""

import time

from scored import Task, names

_RATE = 2e-3  # base_lr of fine_tune


def main() -> None:
    task = Task.read()
    from fastai.vision.all import (
        Callback,
        CancelFitException,
        CategoryBlock,
        DataBlock,
        ImageBlock,
        IndexSplitter,
        Resize,
        accuracy,
        aug_transforms,
        parent_label,
        set_seed,
        vision_learner,
    )

    seen = []

    class Budget(Callback):
        def after_batch(self):
            if self.training:
                seen.append(len(self.xb[0]))
                if task.left <= 0:
                    raise CancelFitException

    set_seed(1)
    train, held = task.photos("train")[0], task.photos("validation")[0]
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=lambda paths: paths,
        splitter=IndexSplitter(range(len(train), len(train) + len(held))),
        get_y=parent_label,
        item_tfms=Resize(460),
        batch_tfms=aug_transforms(size=224),
    )
    loaders = block.dataloaders(train + held, num_workers=0, device="cpu")
    learner = vision_learner(loaders, f"local-dir:{task.weights}", metrics=accuracy, cbs=Budget(), path=task.work)
    begun = time.monotonic()
    learner.freeze()
    learner.fit_one_cycle(1, slice(_RATE), pct_start=0.99)
    head = time.monotonic() - begun
    learner.unfreeze()
    images, labels = loaders.one_batch()
    begun_batch = time.monotonic()
    learner.loss_func(learner.model(images), labels).backward()
    epoch = (time.monotonic() - begun_batch) * len(loaders.train)
    learner.zero_grad()
    epochs = max(1, int(task.left / epoch))
    if task.left > 0:
        learner.fit_one_cycle(epochs, slice(_RATE / 2 / 100, _RATE / 2), pct_start=0.3, div=5.0)
    seconds = time.monotonic() - begun
    test = loaders.test_dl(task.photos("test")[0])
    predicted = names(learner.get_preds(dl=test)[0], list(loaders.vocab))
    share = (sum(seen) - len(train) // 64 * 64) / (len(train) // 64 * 64)
    note = f"head 1 epoch ({head:.0f} s), all weights {max(0.0, share):.2f} of {epochs} epochs"
    task.report(predicted, sum(seen), seconds, note)


if __name__ == "__main__":
    main()
