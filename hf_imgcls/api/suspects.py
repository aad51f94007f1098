"""Which labels of a dataset are probably wrong, by the features of a pretrained network."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import TrainingArguments

from hf_imgcls import machine
from hf_imgcls.api.seen import read_seen
from hf_imgcls.data import Inspected, connected
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import say
from hf_imgcls.models import build_model, faster_in_half
from hf_imgcls.reports import Suspect
from hf_imgcls.training import Examples, cached_features, losses_of, predict_out_of_sample, read_examples


def find_suspects(recipes: Sequence, seen: Inspected) -> list[Suspect]:
    """The images of all splits whose label is less probable than another one, the least probable first.

    The probabilities are of heads that have not seen the image, nor one that is nearly the same; of the networks of
    several recipes their mean.

    Raises:
        InputError: a recipe has no pretrained network, or its network was trained on these images.
    """
    for recipe in recipes:
        if recipe.model.from_scratch or recipe.model.checkpoint is None:
            raise InputError("--labels: the recipe trains from scratch; name a pretrained network with --checkpoint")
        _refuse_trained(recipe.model.checkpoint, seen)
    labels = np.concatenate([np.array(rows["label"][:], int) for rows in seen.data.splits.values()])
    found = [_predict(recipe, seen, labels) for recipe in recipes]
    mean = np.logaddexp.reduce(found) - np.log(len(found))
    if len(found) > 1:
        say(f"labels: {_accuracy(mean, labels)} by the mean of {len(found)} networks")
    return _rank(mean, labels, seen)


def _predict(recipe, seen: Inspected, labels: np.ndarray) -> np.ndarray:
    """Log probabilities out of sample by the features of a recipe's network, shape (images, classes)."""
    arguments = machine.training_arguments(recipe.training)
    model, processor = build_model(recipe.model, seen.data.labels, arguments.seed)
    arguments = machine.training_arguments(
        recipe.training, lambda: faster_in_half(model, input_size(processor), training=False)
    )
    scoring = EvalTransform(processor, range(len(seen.data.labels)))
    examples = _examples(model, scoring, seen, arguments)
    found = predict_out_of_sample(examples, len(seen.data.labels), recipe.data.seed)
    shown = f"{_accuracy(found.log_probabilities, labels)} by {recipe.model.checkpoint}'s features"
    say(f"labels: {shown}, penalty {found.penalty:g}")
    return found.log_probabilities


def _refuse_trained(checkpoint: str, seen: Inspected) -> None:
    """Of a network that was trained with these labels nothing is out of sample."""
    fingerprints, kept, _ = read_seen(checkpoint)
    digests = np.concatenate(list(seen.data.digests.values()))
    known = sum(int(np.isin(digests, each).sum()) for each in kept.values())
    if known or set(fingerprints.values()) & set(seen.data.fingerprints.values()):
        raise InputError(
            f"--checkpoint: {checkpoint} was trained on these images with these labels, and would repeat them; name "
            "the pretrained network that it was trained from"
        )


def _examples(model, scoring: EvalTransform, seen: Inspected, arguments: TrainingArguments) -> Examples:
    """Features and labels of all splits one after the other; what is nearly the same, or of one group, is a group."""
    data = seen.data
    features = {
        role: cached_features(model, rows, scoring, data.fingerprints[role], arguments)
        for role, rows in data.splits.items()
    }
    read = list(read_examples(features, arguments.device).values())
    groups = connected(seen.contents)
    if all(each.groups is not None for each in read):
        groups = np.concatenate([each.groups for each in read])
    return Examples(torch.cat([each.features for each in read]), torch.cat([each.labels for each in read]), groups)


def _accuracy(log_probabilities: np.ndarray, labels: np.ndarray) -> str:
    known = ~np.isnan(log_probabilities[:, 0])
    agree = (log_probabilities[known].argmax(1) == labels[known]).mean()
    return f"{100 * agree:.1f} % of {known.sum():,} images are predicted as labelled, out of sample,"


def _rank(log_probabilities: np.ndarray, labels: np.ndarray, seen: Inspected) -> list[Suspect]:
    data, losses = seen.data, losses_of(log_probabilities, labels)
    where = [(role, row) for role, rows in data.splits.items() for row in range(len(rows))]
    found = []
    for i in np.argsort(-losses, kind="stable"):  # not a number comes last
        best = int(log_probabilities[i].argmax()) if losses[i] == losses[i] else labels[i]
        if best == labels[i]:
            continue
        role, row = where[i]
        names = (data.labels[labels[i]], data.labels[best])
        chances = np.exp(log_probabilities[i][[labels[i], best]])
        found.append(Suspect(data.files[role][row], role, *names, *(round(float(p), 6) for p in chances)))
    return found
