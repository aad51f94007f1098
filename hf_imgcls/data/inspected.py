"""A dataset that was looked at, and what a finding about it says."""

from typing import NamedTuple

import numpy as np

from hf_imgcls.data.drop_near import Contents, find_contents
from hf_imgcls.data.looks import Looks, see_split
from hf_imgcls.data.rows import Data

KINDS = (
    "unreadable", "unknown_label", "duplicates_across", "duplicates_within", "near_across", "near_within",
    "other_label", "few_images", "imbalance", "constant", "tiny", "long",
)  # fmt: skip


class Finding(NamedTuple):
    """Something that is wrong with one split, or between two.

    Attributes:
        kind: one of KINDS.
        images: how many of the split it concerns; 0 where it is about the split as a whole.
        text: what was found, without the files.
        advice: what to do.
        files: of each image `split`, `file`, `label` and where there is a second one `other_split`, `other_file`,
            `other_label`; `detail` where there is more to say.
    """

    kind: str
    split: str
    images: int
    text: str
    advice: str
    files: list[dict[str, str]]


class Inspected(NamedTuple):
    """A dataset, the looks of its images by split, and which contents are alike of all splits one after the other."""

    data: Data
    looks: dict[str, Looks]
    contents: Contents


def see_images(data: Data) -> Inspected:
    """Read every image of a loaded dataset once more, in small, or take what was seen from the cache."""
    looks = {role: see_split(data, role) for role in data.splits}
    digests = np.concatenate([data.digests[role] for role in looks])
    return Inspected(data, looks, find_contents(digests, np.concatenate([each.thumbnails for each in looks.values()])))
