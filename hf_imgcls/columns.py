"""Which column is the picture, which the label, and what the labels are called."""

from collections.abc import Callable

import datasets

from hf_imgcls.recipe import DataSection, InputError, nearest

_LABEL_COLUMNS = ("label", "labels", "target", "class", "class_name", "category", "cls", "y")
_IMAGE_COLUMNS = ("image", "img", "pixel_values", "picture", "photo", "file_name", "filename", "file", "path")


def find_columns(features: datasets.Features, data: DataSection, is_path: Callable[[str], bool]) -> tuple[str, str]:
    """The names of the image and the label column.

    Args:
        features: the source's columns and types.
        data: the recipe's section; what it names is taken as said.
        is_path: whether a string column's values are paths of files that exist.

    Raises:
        InputError: a named column is missing, or several fit equally; lists the columns with their types.
    """
    image = _named(features, data.image_column, "image_column", data.path) or _find_image(features, data, is_path)
    label = _named(features, data.label_column, "label_column", data.path) or _find_label(features, data, image)
    return image, label


def describe_columns(features: datasets.Features) -> str:
    """`img: Image, fine_label: ClassLabel(100), id: int64`."""
    return ", ".join(f"{name}: {_type_name(feature)}" for name, feature in features.items())


def label_values(dataset: datasets.Dataset, column: str) -> list[str | None]:
    """A label column as class names; a missing or negative label is None."""
    feature, values = dataset.features[column], dataset[column][:]
    if isinstance(feature, datasets.ClassLabel):
        return [None if v is None or v < 0 else feature.names[v] for v in values]
    if feature.dtype.startswith(("int", "uint")):
        return [None if v is None or v < 0 else str(v) for v in values]
    return [None if v is None else str(v) for v in values]


def name_labels(dataset: datasets.Dataset, column: str, given: list[str] | None) -> list[str]:
    """The class names in the order of their ids.

    A ClassLabel brings its own, complete even where this part of the data lacks a class; strings are sorted;
    integers are counted. Names that the recipe gives come first of all.

    Args:
        dataset: the training split.
        given: the recipe's `data.label_names`.
    """
    feature = dataset.features[column]
    if given:
        return given
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    found = {value for value in label_values(dataset, column) if value is not None}
    integers = feature.dtype.startswith(("int", "uint"))
    return sorted(found, key=int) if integers else sorted(found)


def encode_labels(values: list[str | None], names: list[str], feature, split: str) -> list[int]:
    """Class names as ids.

    Raises:
        InputError: a label that is not among the names; the line names it.
    """
    ids = {name: i for i, name in enumerate(names)}
    by_position = not isinstance(feature, datasets.ClassLabel) and feature.dtype.startswith(("int", "uint"))
    if by_position and not set(values) <= ids.keys():
        ids = {str(i): i for i in range(len(names))}  # integers, with the names given in the recipe
    unknown = sorted({v for v in values if v is not None and v not in ids})
    if unknown:
        rows = sum(v == unknown[0] for v in values)
        others = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise InputError(
            f"data: {split} has the label {unknown[0]!r} ({rows} pictures){others}, which is not among the "
            f"{len(names)} labels of train{nearest(unknown[0], names)}"
        )
    return [-1 if v is None else ids[v] for v in values]


def _named(features: datasets.Features, name: str | None, key: str, where: str) -> str | None:
    if name is not None and name not in features:
        raise InputError(
            f"data.{key}: {where} has no column {name!r}{nearest(name, features)} It has {describe_columns(features)}"
        )
    return name


def _find_image(features: datasets.Features, data: DataSection, is_path: Callable[[str], bool]) -> str:
    tests = [
        lambda name, feature: isinstance(feature, datasets.Image),
        lambda name, feature: isinstance(feature, dict) and {"bytes", "path"} <= feature.keys(),
        lambda name, feature: _type_name(feature) in ("binary", "large_binary"),
        lambda name, feature: _type_name(feature) in ("string", "large_string") and is_path(name),
    ]
    for test in tests:
        found = [name for name, feature in features.items() if test(name, feature)]
        if found:
            return _choose(found, _IMAGE_COLUMNS, features, "image_column", "pictures", data.path)
    raise InputError(
        f"data.image_column: no column of {data.path} holds pictures or paths of files that exist; "
        f"it has {describe_columns(features)}"
    )


def _find_label(features: datasets.Features, data: DataSection, image: str) -> str:
    others = {name: feature for name, feature in features.items() if name != image and not name.startswith("__")}
    plain = ("string", "large_string", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
    for found in (
        [name for name, feature in others.items() if isinstance(feature, datasets.ClassLabel)],
        [name for name, feature in others.items() if _type_name(feature) in plain],
    ):
        if found:
            return _choose(found, _LABEL_COLUMNS, features, "label_column", "labels", data.path)
    raise InputError(f"data.label_column: {data.path} has no column of labels; it has {describe_columns(features)}")


def _choose(found: list[str], usual: tuple[str, ...], features, key: str, what: str, where: str) -> str:
    named = [name for name in found if name.lower() in usual]
    if len(found) == 1 or len(named) == 1:
        return found[0] if len(found) == 1 else named[0]
    raise InputError(
        f"data.{key}: several columns of {where} may hold the {what} ({', '.join(found)}); name one of "
        f"{describe_columns(features)}"
    )


def _type_name(feature) -> str:
    if isinstance(feature, datasets.ClassLabel):
        return f"ClassLabel({feature.num_classes})"
    return feature.dtype if isinstance(feature, datasets.Value) else type(feature).__name__
