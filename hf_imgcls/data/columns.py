"""Which column is the image, and which the label."""

from collections.abc import Callable

import datasets

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, one_line

_LABEL_COLUMNS = (
    "label", "labels", "target", "targets", "class", "classes", "class_name", "category", "categories", "cls", "y",
    "tags",
)  # fmt: skip
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
    image = find_image(features, data, where, is_path)
    _check_group(features, data, where, image)
    free = {name: feature for name, feature in features.items() if name != data.group_column}
    find = _find_list if data.multi_label else _find_label
    label = _named(features, data.label_column, "label_column", where) or find(free, where, image, is_path)
    if not (is_image(features[image]) or _is_text(features[image])):
        raise InputError(f"data.image_column: {image!r} of {where} holds no images; {_listing(features)}")
    if _is_list(features[label], data.multi_label) and not data.multi_label:
        raise _multi_label(where, label)
    if not (_is_label(features[label]) or _is_float(features[label]) or _is_list(features[label], data.multi_label)):
        raise InputError(f"data.label_column: {label!r} of {where} holds no single label a row; {_listing(features)}")
    if image == label:
        raise InputError(f"data.label_column: {label!r} of {where} is the column of the images; {_listing(features)}")
    return image, label


def find_image(features: datasets.Features, data: DataSection, where: str, is_path: Callable[[str], bool]) -> str:
    """The name of the image column alone, as `find_columns` finds it."""
    return _named(features, data.image_column, "image_column", where) or _find_image(features, where, is_path)


def find_grouped(
    features: datasets.Features, data: DataSection, where: str, is_path: Callable[[str], bool]
) -> tuple[str, str]:
    """The names of the image and the group column of a table whose labels are not asked for."""
    image = find_image(features, data, where, is_path)
    _check_group(features, data, where, image)
    return image, data.group_column


def _check_group(features: datasets.Features, data: DataSection, where: str, image: str) -> None:
    """Refuse (InputError) a `data.group_column` that cannot be one."""
    group = _named(features, data.group_column, "group_column", where)
    if group is None:
        return
    if group == image:
        raise InputError(f"data.group_column: {group!r} of {where} is the column of the images; {_listing(features)}")
    single = isinstance(features[group], datasets.Value | datasets.ClassLabel)
    if not (single or _type_name(features[group]) == "Json") or is_image(features[group]):  # Json: text and numbers
        raise InputError(f"data.group_column: {group!r} of {where} holds no single value a row; {_listing(features)}")


def _named(features: datasets.Features, name: str | None, key: str, where: str) -> str | None:
    if name is not None and name not in features:
        raise InputError(f"data.{key}: {where} has no column {name!r}, {_listing(features)}{nearest(name, features)}")
    return name


def _find_image(features: datasets.Features, where: str, is_path: Callable[[str], bool]) -> str:
    tests = (
        lambda name, feature: isinstance(feature, datasets.Image),
        lambda name, feature: is_image(feature),
        lambda name, feature: _is_text(feature) and is_path(name),
    )
    for test in tests:
        found = [name for name, feature in features.items() if test(name, feature)]
        if found:
            return _choose(found, _IMAGE_COLUMNS, features, "image_column", where)
    raise InputError(
        f"data.image_column: no column of {where} holds images, or paths, relative to it, of files that exist; "
        f"{_listing(features)}; write the paths into a column, with their endings (photos/1.jpg)"
    )


def _find_label(features: datasets.Features, where: str, image: str, is_path: Callable[[str], bool]) -> str:
    others = _other_columns(features, image, is_path)
    usual = [name for name in others if name.lower() in _LABEL_COLUMNS]
    lists = [name for name in usual if _is_list(others[name])]
    if lists and len(lists) == len(usual):
        raise _multi_label(where, lists[0])
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
    if lists := [name for name in others if _is_list(others[name])]:
        raise _multi_label(where, lists[0])
    how = "; add one, such as label"
    if "__key__" in features:  # of a WebDataset
        how = " (cat/1.cls beside cat/1.jpg); unpack it and name the folder, or hf-imgcls pack FOLDER --format tar"
    raise InputError(f"data.label_column: {where} has no column of labels{how}; {_listing(features)}")


def _find_list(features: datasets.Features, where: str, image: str, is_path: Callable[[str], bool]) -> str:
    """The column of several labels an image: lists first, then those that may be one label or text with several."""
    others = _other_columns(features, image, is_path)
    tests = (
        lambda name, feature: _is_list(feature, several=True) and name.lower() in _LABEL_COLUMNS,
        lambda name, feature: _is_list(feature),
        lambda name, feature: _is_list(feature, several=True),
        lambda name, feature: isinstance(feature, datasets.ClassLabel),
        lambda name, feature: _is_text(feature),
    )
    for test in tests:
        found = [name for name, feature in others.items() if test(name, feature)]
        if found:
            return _choose(found, _LABEL_COLUMNS, features, "label_column", where)
    raise InputError(
        f"data.label_column: {where} has no column of labels; columns of 0 and 1 are named as a list; "
        f"{_listing(features)}"
    )


def _other_columns(features: datasets.Features, image: str, is_path: Callable[[str], bool]) -> dict:
    """The columns that may hold labels."""
    return {
        name: feature
        for name, feature in features.items()
        if name != image and not name.startswith("__") and not (_is_text(feature) and is_path(name))
    }


def _multi_label(where: str, column: str) -> InputError:
    return InputError(
        f"data.label_column: {column!r} of {where} holds a list a row, multi-label; name a column of single labels, or "
        "set model.multi_label=true, with which an image may have several"
    )


def _choose(found: list[str], usual: tuple[str, ...], features, key: str, where: str) -> str:
    named = [name for name in found if name.lower() in usual]
    if len(found) == 1 or len(named) == 1:
        return found[0] if len(found) == 1 else named[0]
    shown = listed((one_line(name, 24) for name in found), 3)
    raise InputError(f"data.{key}: {where} has several candidates, {shown}; {_listing(features)}")


def _listing(features: datasets.Features) -> str:
    """`it has img: Image, fine_label: ClassLabel(100), id: int64`."""
    return "it has " + listed(f"{one_line(name, 24)}: {_type_name(feature)}" for name, feature in features.items())


def is_image(feature) -> bool:
    """Whether a column holds images themselves, as bytes or encoded."""
    encoded = isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()
    return encoded or isinstance(feature, datasets.Image) or _type_name(feature) in ("binary", "large_binary")


def _is_text(feature) -> bool:
    return _type_name(feature) in ("string", "large_string")


def _is_label(feature) -> bool:
    whole = _type_name(feature).startswith(("int", "uint"))
    return isinstance(feature, datasets.ClassLabel) or _is_text(feature) or whole or _type_name(feature) == "bool"


def _is_list(feature, several: bool = False) -> bool:
    """A list of labels; one of floats is a vector, of 0 and 1 where an image may have several labels."""
    inner = getattr(feature, "feature", None)  # of datasets.List and LargeList
    return inner is not None and (_is_label(inner) or (several and _is_float(inner)))


def _is_float(feature) -> bool:
    return _type_name(feature).startswith("float")


def _type_name(feature) -> str:
    if isinstance(feature, datasets.ClassLabel):
        return f"ClassLabel({feature.num_classes})"
    return feature.dtype if isinstance(feature, datasets.Value) else type(feature).__name__
