"""Which column is the image, which the label, and what the labels are called."""

from collections.abc import Callable

import datasets

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, plural

_LABEL_COLUMNS = ("label", "labels", "target", "class", "class_name", "category", "cls", "y")
_IMAGE_COLUMNS = ("image", "img", "pixel_values", "picture", "photo", "file_name", "filename", "file", "path")


def find_columns(
    features: datasets.Features, data: DataSection, where: str, is_path: Callable[[str], bool]
) -> tuple[str, str]:
    """The names of the image and the label column; columns that the recipe names are used.

    Args:
        where: the source, for the errors.
        is_path: whether a string column's values are paths of files that exist.

    Raises:
        InputError: a named column is missing or of a wrong type, or several fit equally; lists all with their types.
    """
    image = _named(features, data.image_column, "image_column", where) or _find_image(features, where, is_path)
    label = _named(features, data.label_column, "label_column", where) or _find_label(features, where, image)
    if not (_is_image(features[image]) or _is_text(features[image])):
        raise InputError(f"data.image_column: {image!r} of {where} holds no images; {_listing(features)}")
    if not (_is_label(features[label]) or _is_float(features[label])):
        raise InputError(f"data.label_column: {label!r} of {where} holds no single label a row; {_listing(features)}")
    return image, label


def label_namer(feature, given: list[str] | None = None) -> Callable[[object], str | None]:
    """How a label's value becomes its class name; a missing or negative label becomes None.

    Args:
        feature: the label column's type.
        given: `data.label_names`, for integers by position. A ClassLabel that shares names with them is mapped by
            name; one with none in common is renamed by position.
    """
    names = given
    if isinstance(feature, datasets.ClassLabel) and not (given and set(given).isdisjoint(feature.names)):
        names = feature.names

    def name(value) -> str | None:
        if value is None or value != value:  # nan, which a table of numbers has where a label is missing
            return None
        if isinstance(value, str | bool):
            return str(value)
        if isinstance(value, float):
            if not value.is_integer():
                raise InputError(f"data.label_column: found the label {value}, expected names or whole numbers")
            value = int(value)
        if value < 0:
            return None
        if names and value >= len(names):
            raise InputError(f"data.label_names: has {len(names)} names, but there is a label {value}")
        return names[value] if names else str(value)

    return name


def label_values(dataset: datasets.Dataset, given: list[str] | None = None) -> list[str | None]:
    """The labels as class names; a missing or negative label is None."""
    return list(map(label_namer(dataset.features["label"], given), dataset["label"][:]))


def name_labels(dataset: datasets.Dataset | datasets.IterableDataset, given: list[str] | None) -> list[str]:
    """The class names of a training split, in the order of their ids.

    Names that the recipe gives come first of all. A ClassLabel brings its own, complete even where this part of the
    dataset lacks a class; strings are sorted; integers are counted.
    """
    feature = dataset.features["label"]
    if given:
        twice = next((name for name in given if given.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"data.label_names: {twice!r} is given {given.count(twice)} times; class names are unique")
        return given
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    if isinstance(dataset, datasets.IterableDataset):
        raise InputError("data.label_names: the labels of a stream are not known beforehand; name them here")
    found = {value for value in label_values(dataset) if value is not None}
    return sorted(found) if _is_text(feature) or feature.dtype == "bool" else sorted(found, key=int)


def encode_labels(values: list[str | None], names: list[str], split: str, owner: str) -> list[int]:
    """Class names as ids; a missing one is -1. An InputError names a label that `owner`, who has the names, lacks."""
    ids = {name: i for i, name in enumerate(names)}
    twice = {name for name in names if names.count(name) > 1} & {*values} if len(ids) < len(names) else ()
    for name in sorted(twice):
        both = listed(i for i, other in enumerate(names) if other == name)
        raise InputError(
            f"data: {split} has the label {name!r}, the name of several classes of {owner} (ids {both}); rename "
            "them in its config.json (id2label)"
        )
    unknown = sorted({value for value in values if value is not None and value not in ids})
    if unknown:
        rows = sum(value == unknown[0] for value in values)
        others = f" and {plural(len(unknown) - 1, 'more label')}" if len(unknown) > 1 else ""
        raise InputError(
            f"data: {split} has the label {unknown[0]!r} ({plural(rows, 'image')}){others}, not among the "
            f"{len(names)} of {owner}: {listed(names)}{nearest(unknown[0], names)}"
        )
    return [-1 if value is None else ids[value] for value in values]


def _named(features: datasets.Features, name: str | None, key: str, where: str) -> str | None:
    if name is not None and name not in features:
        raise InputError(f"data.{key}: {where} has no column {name!r}, {_listing(features)}{nearest(name, features)}")
    return name


def _find_image(features: datasets.Features, where: str, is_path: Callable[[str], bool]) -> str:
    tests = (
        lambda name, feature: isinstance(feature, datasets.Image),
        lambda name, feature: _is_image(feature),
        lambda name, feature: _is_text(feature) and is_path(name),
    )
    for test in tests:
        found = [name for name, feature in features.items() if test(name, feature)]
        if found:
            return _choose(found, _IMAGE_COLUMNS, features, "image_column", where)
    raise InputError(
        f"data.image_column: no column of {where} holds images, or paths, relative to it, of files that exist; "
        f"{_listing(features)}"
    )


def _find_label(features: datasets.Features, where: str, image: str) -> str:
    others = {name: feature for name, feature in features.items() if name != image and not name.startswith("__")}
    tests = (
        lambda name, feature: isinstance(feature, datasets.ClassLabel),
        lambda name, feature: _is_label(feature),
        # A table of integers becomes one of floats where a label is missing.
        lambda name, feature: _is_float(feature) and name.lower() in _LABEL_COLUMNS,
    )
    for test in tests:
        found = [name for name, feature in others.items() if test(name, feature)]
        if found:
            return _choose(found, _LABEL_COLUMNS, features, "label_column", where)
    raise InputError(f"data.label_column: {where} has no column of labels; {_listing(features)}")


def _choose(found: list[str], usual: tuple[str, ...], features, key: str, where: str) -> str:
    named = [name for name in found if name.lower() in usual]
    if len(found) == 1 or len(named) == 1:
        return found[0] if len(found) == 1 else named[0]
    raise InputError(f"data.{key}: {where} has several candidates, {', '.join(found)}; {_listing(features)}")


def _listing(features: datasets.Features) -> str:
    """`it has img: Image, fine_label: ClassLabel(100), id: int64`."""
    return "it has " + ", ".join(f"{name}: {_type_name(feature)}" for name, feature in features.items())


def _is_image(feature) -> bool:
    encoded = isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()
    return encoded or isinstance(feature, datasets.Image) or _type_name(feature) in ("binary", "large_binary")


def _is_text(feature) -> bool:
    return _type_name(feature) in ("string", "large_string")


def _is_label(feature) -> bool:
    whole = _type_name(feature).startswith(("int", "uint"))
    return isinstance(feature, datasets.ClassLabel) or _is_text(feature) or whole or _type_name(feature) == "bool"


def _is_float(feature) -> bool:
    return _type_name(feature).startswith("float")


def _type_name(feature) -> str:
    if isinstance(feature, datasets.ClassLabel):
        return f"ClassLabel({feature.num_classes})"
    return feature.dtype if isinstance(feature, datasets.Value) else type(feature).__name__
