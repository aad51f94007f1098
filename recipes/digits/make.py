"""Write the bundled digits as a data set of PNG images: train.parquet, test.parquet and seven.png.

    python recipes/digits/make.py

scikit-learn ships 1,797 handwritten digits of 8x8 pixels with 17 shades of grey (README.md has origin and licence).
The same bytes come out every time.
"""

import io
from pathlib import Path

import datasets
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

TEST_IMAGES = 360


def main(folder: Path = Path(__file__).parent) -> None:
    """Write the two splits, stratified and seeded, and one image of the test split to try a model on."""
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), test_size=TEST_IMAGES, stratify=digits.target, random_state=0
    )
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[str(digit) for digit in range(10)])}
    )
    for name, rows in (("train", np.sort(train)), ("test", np.sort(test))):
        images = {
            "image": [{"bytes": png(digits.images[i]), "path": f"{i:04d}.png"} for i in rows],
            "label": digits.target[rows].tolist(),
        }
        datasets.Dataset.from_dict(images, features=features).to_parquet(folder / f"{name}.parquet")
    seven = next(i for i in np.sort(test) if digits.target[i] == 7)
    (folder / "seven.png").write_bytes(png(digits.images[seven]))


def png(shades: np.ndarray) -> bytes:
    """An image of 0 (paper) to 16 (ink) as grey PNG, white on black."""
    image = Image.fromarray(np.round(shades * (255 / 16)).astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
