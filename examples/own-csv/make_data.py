"""Writes `data/first.csv`, `data/second.csv` and `data/rows.csv` from a table that scikit-learn brings along.

Measurements of tumours, each benign or malignant, as a spreadsheet might export them: with a name for each row,
and some values missing. The rows to ask about have no diagnosis; `data/truth.csv` has it.
"""

import random
import sys
from pathlib import Path

try:
    from sklearn.datasets import load_breast_cancer
except ImportError:
    sys.exit("this example needs scikit-learn: pip install 'pdk[sklearn]'")

DATA = Path("data")
LABEL = "diagnosis"


def main() -> None:
    """Write the files."""
    table = load_breast_cancer()
    names = [name.replace(" ", "_") for name in table.feature_names]
    draw = random.Random(1)
    lines = []
    for number, (values, label) in enumerate(zip(table.data.tolist(), table.target.tolist(), strict=True)):
        texts = ["" if draw.random() < 0.02 else f"{value:g}" for value in values]
        lines.append([f"P{number:05}", *texts, str(table.target_names[label])])
    draw.shuffle(lines)
    DATA.mkdir(exist_ok=True)
    header = ["sample", *names, LABEL]
    write("first.csv", header, lines[:350])
    write("second.csv", header, lines[350:540])
    write("rows.csv", header[:-1], [line[:-1] for line in lines[540:]])
    write("truth.csv", header[-1:], [line[-1:] for line in lines[540:]])


def write(name: str, header: list[str], lines: list[list[str]]) -> None:
    """Write one CSV."""
    (DATA / name).write_text("\n".join(map(",".join, [header, *lines])) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
