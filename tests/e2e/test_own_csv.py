"""CSVs nobody prepared, each from `pdk new` to two served versions, side by side on one stack.

A yes/no label with texts, missing values and semicolons; a label of three texts; a number. Nothing but the file and the
name of its label column is given.
"""

import json
import random

import pytest

ROWS = 400

pytestmark = pytest.mark.slow


def leaving(number, draw):
    """Whether a customer leaves, in the words and the layout of a spreadsheet's export."""
    plan = draw.choice(["basic", "plus", "family"])
    minutes = draw.gauss(300, 80)
    leaves = minutes < 260 or (plan == "basic" and draw.random() < 0.5)
    fields = [
        f"K-{number:06}", plan, f"{minutes:.2f}".replace(".", ","), str(draw.randint(1, 9)),
        "" if draw.random() < 0.1 else f"{draw.gauss(40, 9):.1f}".replace(".", ","), "Yes" if leaves else "No",
    ]  # fmt: skip
    return ";".join(fields)


def growing(number, draw):
    """A plant of one of three kinds, by its leaves."""
    kind = draw.choice(["oak", "birch", "pine"])
    length = {"oak": 12, "birch": 6, "pine": 4}[kind] + draw.gauss(0, 1)
    width = {"oak": 8, "birch": 5, "pine": 2}[kind] + draw.gauss(0, 0.9)
    return f"{length:.3f},{width:.3f},{draw.choice(['north', 'south'])},{kind}"


def renting(number, draw):
    """A rent, by size, district and age of the flat."""
    size, age = draw.uniform(20, 140), draw.randint(0, 90)
    district = draw.choice(["harbour", "old town", "hill"])
    rent = 9 * size + {"harbour": 0, "old town": 120, "hill": 300}[district] - 2 * age + draw.gauss(0, 25)
    return f"{size:.1f},{district},{age},{rent:.2f}"


TABLES = {
    "leavers": ("customer;plan;minutes;lines;age;leaves", leaving, "leaves"),
    "trees": ("leaf_length,leaf_width,side,kind", growing, "kind"),
    "rents": ("size,district,age,rent", renting, "rent"),
}


def write(path, name, seed):
    header, row, _ = TABLES[name]
    draw = random.Random(f"{name} {seed}")
    path.write_text("\n".join([header, *(row(seed * ROWS + number, draw) for number in range(ROWS))]) + "\n")
    return path


def commit(stack, name, file):
    """Put a file into the model's data repo and wait until the last of its three jobs has ended well."""
    stack.pdk("put", "file", f"{name}-data@master:{file.name}", "-f", str(file), "--project", name)
    return stack.pdk("wait", "commit", f"{name}-rollout@master", "--project", name)


@pytest.fixture(scope="module")
def models(module_stack, tmp_path_factory):
    """All three, made, applied, and given their first file."""
    folder = tmp_path_factory.mktemp("own")
    for name, (_, _, label) in TABLES.items():
        first = write(folder / f"{name}-1.csv", name, 1)
        module_stack.pdk("new", str(folder / name), "--from-csv", str(first), "--label", label)
        module_stack.pdk("apply", str(folder / name))
        commit(module_stack, name, first)
    return folder


def answers(stack, name, file):
    """What `pdk predict` prints for a file of rows, as JSON."""
    return json.loads(stack.pdk("predict", name, "-f", str(file), "--json").stdout)["predictions"]


def column(file, name):
    lines = [line.split(";" if ";" in line else ",") for line in file.read_text().splitlines()]
    return [line[lines[0].index(name)] for line in lines[1:]]


@pytest.mark.timeout(600)
def test_each_table_becomes_a_model_that_knows_something(module_stack, models):
    unseen = {name: write(models / f"{name}-unseen.csv", name, 7) for name in TABLES}
    given = {name: [row[0] for row in answers(module_stack, name, file)] for name, file in unseen.items()}
    truth = {name: column(file, TABLES[name][2]) for name, file in unseen.items()}
    for name, chance in (("leavers", 0.7), ("trees", 0.9)):
        assert set(given[name]) <= set(truth[name])  # in the words of the file
        right = sum(a == b for a, b in zip(given[name], truth[name], strict=True))
        assert right / ROWS > chance, name
    mean = sum(map(float, truth["rents"])) / ROWS
    errors = sum(abs(a - float(b)) for a, b in zip(given["rents"], truth["rents"], strict=True))
    assert errors < 0.5 * sum(abs(mean - float(b)) for b in truth["rents"])


@pytest.mark.timeout(600)
def test_a_second_file_makes_a_second_version_of_that_model_alone(module_stack, models):
    for name in TABLES:
        commit(module_stack, name, write(models / f"{name}-2.csv", name, 2))
    systems = module_stack.systems()
    numbers = {name: systems.determined.get_model(name).get_version().model_version for name in TABLES}
    assert numbers == dict.fromkeys(TABLES, 2)
    status = module_stack.pdk("status").stdout
    for name in TABLES:
        assert f"{systems.namespace}/{name}" in status
        assert len(answers(module_stack, name, models / f"{name}-2.csv")) == ROWS


@pytest.mark.timeout(300)
def test_deleting_one_takes_all_of_it_and_the_others_go_on(module_stack, models):
    said = module_stack.pdk("delete", "project", "trees", "--all", "--yes").stdout
    for what in ("InferenceService trees", "model trees", "project trees"):
        assert f"{what} deleted" in said
    systems = module_stack.systems()
    assert systems.determined.list_experiments(labels=["trees-train"]) == []
    refused = module_stack.pdk("predict", "trees", "-f", str(models / "trees-1.csv"), check=False)
    assert "no model 'trees' is served" in refused.stderr
    assert len(answers(module_stack, "rents", models / "rents-1.csv")) == ROWS
