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


def label_values(dataset: datasets.Dataset, column: str, given: list[str] | None = None) -> list[str | None]:
    """A label column as class names; a missing or negative label is None.

    Args:
        given: names of integer labels, by position (`data.label_names`).
    """
    feature, values = dataset.features[column], dataset[column][:]
    return [label_name(value, feature, given) for value in values]


def label_name(value, feature, given: list[str] | None = None) -> str | None:
    """One label as a class name."""
    if value is None or (isinstance(value, int) and value < 0):
        return None
    if isinstance(feature, datasets.ClassLabel):
        return feature.names[value]
    if given and isinstance(value, int) and not isinstance(value, bool):
        if value >= len(given):
            raise InputError(f"data.label_names: has {len(given)} names, but there is a label {value}")
        return given[value]
    return str(value)


def name_labels(dataset: datasets.Dataset, column: str, given: list[str] | None) -> list[str]:
    """The class names in the order of their ids.

    Names that the recipe gives come first of all. A ClassLabel brings its own, complete even where this part of the
    data lacks a class; strings are sorted; integers are counted.

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


def encode_labels(values: list[str | None], names: list[str], split: str, owner: str = "train") -> list[int]:
    """Class names as ids; a missing one is -1.

    Args:
        owner: whose names they are, for the error.

    Raises:
        InputError: a label that is not among the names; the line names it.
    """
    ids = {name: i for i, name in enumerate(names)}
    unknown = sorted({value for value in values if value is not None and value not in ids})
    if unknown:
        rows = sum(value == unknown[0] for value in values)
        others = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise InputError(
            f"data: {split} has the label {unknown[0]!r} ({rows} pictures){others}, which is not among the "
            f"{len(names)} labels of {owner}{nearest(unknown[0], names)}"
        )
    return [-1 if value is None else ids[value] for value in values]


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
