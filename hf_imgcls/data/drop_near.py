"""Images of train that are nearly the same as images that are scored, taken out of train."""

from typing import NamedTuple

import numpy as np

from hf_imgcls.data.duplicates import keep_in_train, short_digests
from hf_imgcls.data.looks import see_split
from hf_imgcls.data.near import NearPairs, find_near
from hf_imgcls.data.rows import Checked, Data


class Contents(NamedTuple):
    """What there is in several images, byte for byte once.

    Attributes:
        number: of the content of each image, shape (images,).
        near: pairs of contents that are nearly the same.
    """

    number: np.ndarray
    near: NearPairs


def find_contents(digests: np.ndarray, thumbnails: np.ndarray) -> Contents:
    """Compare images; those that are the same byte for byte once, or they would be each other's nearest."""
    _, first, number = np.unique(digests, return_index=True, return_inverse=True)
    return Contents(number, find_near(thumbnails[first]))


def drop_near(data: Data, checked: dict[str, Checked]) -> None:
    """Take out of train what is nearly the same as an image of another split, itself or by way of others of train."""
    if "train" not in checked or len(checked) == 1:
        return
    roles = ["train", *(role for role in checked if role != "train")]
    digests = np.concatenate([short_digests(checked[role].digests) for role in roles])
    contents = find_contents(digests, np.concatenate([see_split(data, role).thumbnails for role in roles]))
    number, group = contents.number, connected(contents)
    images = len(checked["train"].files)
    # An image that is in both splits byte for byte is dropped, and counted, with the others of that kind.
    leaks = np.isin(group[:images], group[images:]) & ~np.isin(number[:images], number[images:])
    keep_in_train(data, checked, np.flatnonzero(~leaks), "nearly the same as images of validation or test")


def connected(contents: Contents) -> np.ndarray:
    """A number for each image, the same for those that are nearly the same, directly or by way of others."""
    pairs, count = contents.near, int(contents.number.max()) + 1
    group, before = np.arange(count), None
    while not np.array_equal(group, before):
        before = group.copy()
        least = np.minimum(group[pairs.first], group[pairs.second])
        np.minimum.at(group, pairs.first, least)
        np.minimum.at(group, pairs.second, least)
    return group[contents.number]
