"""Writes handwritten digits, which scikit-learn brings along, as image files: `data/first/CLASS/*.png`, and so on.

`first` and `second` are for training; the images of `unseen` are called after the digit they show.
"""

import sys
from pathlib import Path

try:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits
except ImportError as error:
    sys.exit(f"{error}: this example needs pip install 'pdk[sklearn,image]'")

DATA = Path("data")


def main() -> None:
    """Write the files."""
    digits = load_digits()
    pixels = np.rint(digits.images * 255 / 16).astype(np.uint8)
    for number in range(600):
        write(f"{'first' if number < 400 else 'second'}/{digits.target[number]}/{number:04}.png", pixels[number])
    for number in range(1000, 1100):
        write(f"unseen/{digits.target[number]}.png", pixels[number])


def write(name: str, pixels: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> None:
    """Write one image, 8 by 8 pixels, grey."""
    path = DATA / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


if __name__ == "__main__":
    main()
