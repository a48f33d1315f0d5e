import hashlib
import os
from statistics import NormalDist

import generate
import marginals
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

SCHEMA = generate.load_schema()
FIRST, SECOND = generate.PARTS
# On every processor: whoever changes the data on purpose changes these.
DIGESTS = {
    "data_part1.csv": "54b9429c37ffabbd25fca9af14813b6b242d2da64f7bfad3b17d790f8e75b27f",
    "data_part2.csv": "5c31943755071dc59228cb983ae857a2857c07995b20f55416adfcc3433a6fac",
}


@pytest.fixture(scope="module")
def first():
    return generate.draw(FIRST, SCHEMA, SCHEMA["rows"][FIRST.name])


@pytest.fixture(scope="module")
def second():
    return generate.draw(SECOND, SCHEMA, SCHEMA["rows"][SECOND.name])


def facts(kind):
    return [column for column in SCHEMA["columns"] if column["kind"] == kind]


def matrix(columns, rows):
    """One-hot categories and plain numbers, as the usual models want them."""
    wide = [columns[fact["name"]][rows].astype(float) for fact in facts("numeric")]
    for fact in facts("categorical"):
        wide += [(columns[fact["name"]][rows] == category).astype(float) for category in fact["categories"]]
    return np.array(wide).T


def test_columns_are_those_of_the_schema_in_its_order(first, second):
    assert list(first) == list(second) == [column["name"] for column in SCHEMA["columns"]]
    assert len(first) == 88
    assert {len(values) for values in first.values()} == {31009}
    assert {len(values) for values in second.values()} == {31000}


@pytest.mark.parametrize("fact", facts("numeric"), ids=lambda fact: fact["name"])
def test_mean_and_deviation_are_those_of_the_schema(first, fact):
    values = first[fact["name"]].astype(float)
    standard_error = fact["std"] / np.sqrt(len(values))
    assert abs(values.mean() - fact["mean"]) < max(6 * standard_error, 0.03 * abs(fact["mean"]))
    # The deviation of a column with a few dozen non-zero rows is itself known to a third only.
    rare = fact["std"] > 8 * abs(fact["mean"]) and fact["name"] not in ("change_mou", "change_rev")
    assert values.std() == pytest.approx(fact["std"], rel=0.35 if rare else 0.1)


def test_numbers_are_plausible(first):
    for fact in facts("numeric"):
        values = first[fact["name"]]
        assert np.isfinite(values).all()
        assert (values.dtype == np.int64) == (fact["dtype"] == "int")
        assert fact["name"].startswith("change_") or values.min() >= 0
    assert np.allclose(first["attempt_Mean"], first["plcd_vce_Mean"] + first["plcd_dat_Mean"])


def test_every_category_occurs_and_no_other(first, second):
    for fact in facts("categorical"):
        assert set(first[fact["name"]]) == set(second[fact["name"]]) == set(fact["categories"])


def test_usage_columns_go_together(first):
    def together(a, b):
        return np.corrcoef(np.log1p(first[a]), np.log1p(first[b]))[0, 1]

    assert together("mou_Mean", "comp_vce_Mean") > 0.8
    assert together("totmou", "adjmou") > 0.95
    assert together("rev_Mean", "mou_Mean") > 0.3
    assert abs(together("mou_Mean", "custcare_Mean")) < 0.5


def test_the_seed_decides_the_rows():
    again = [generate.draw(FIRST, SCHEMA, 50, seed) for seed in (1, 1, 2)]
    assert all((again[0][name] == again[1][name]).all() for name in again[0])
    assert (again[0]["mou_Mean"] != again[2]["mou_Mean"]).any()
    assert (generate.draw(SECOND, SCHEMA, 50, 1)["mou_Mean"] != again[0]["mou_Mean"]).any()


def test_the_files_are_the_same_on_every_processor(tmp_path):
    paths = generate.generate(tmp_path)
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths} == DIGESTS


def test_the_exponential_is_the_exponential():
    x = np.linspace(-40, 40, 10_001)
    assert marginals.exp(x) == pytest.approx(np.exp(x), rel=1e-14)


def test_a_normal_and_its_probability_belong_together():
    z = np.array([-7.0, -6.0, -2.0, 0.0, 0.0013, 1.0, 6.0, 7.0])
    truth = [NormalDist().cdf(value) for value in z]
    assert marginals.uniform(z) == pytest.approx(truth, abs=1e-6)
    assert marginals.normal(marginals.uniform(z)) == pytest.approx(np.clip(z, -6, 6), abs=1e-9)


def test_churn_needs_a_model_that_sees_interactions(first):
    train, test = np.arange(14000), np.arange(14000, 24000)
    labels = first["churn"]
    assert 0.4 < labels.mean() < 0.6
    scaler = StandardScaler().fit(matrix(first, train))
    linear = LogisticRegression(max_iter=200, C=0.1).fit(scaler.transform(matrix(first, train)), labels[train])
    boosted = HistGradientBoostingClassifier(max_iter=80).fit(matrix(first, train), labels[train])
    linear_auc = roc_auc_score(labels[test], linear.predict_proba(scaler.transform(matrix(first, test)))[:, 1])
    boosted_auc = roc_auc_score(labels[test], boosted.predict_proba(matrix(first, test))[:, 1])
    assert 0.55 < linear_auc < 0.68
    assert 0.75 < boosted_auc < 0.85


def test_the_second_part_has_shifted(first, second):
    train, test = np.arange(12000), np.arange(12000, 20000)
    assert second["mou_Mean"].mean() < 0.95 * first["mou_Mean"].mean()
    assert second["totmrc_Mean"].mean() > 1.03 * first["totmrc_Mean"].mean()
    truth = second["churn"][test]
    scores = {}
    for name, part in (("old", first), ("new", second)):
        model = HistGradientBoostingClassifier(max_iter=60).fit(matrix(part, train), part["churn"][train])
        scores[name] = roc_auc_score(truth, model.predict_proba(matrix(second, test))[:, 1])
    assert 0.7 < scores["old"] < scores["new"] - 0.01


def test_files_are_written_once_and_again_when_they_are_not_right(tmp_path):
    first_file, second_file = generate.generate(tmp_path, rows=40)
    lines = first_file.read_text().splitlines()
    assert lines[0] == ",".join(column["name"] for column in SCHEMA["columns"])
    assert [len(line.split(",")) for line in lines] == [88] * 41
    good = first_file.read_bytes()
    for path in (first_file, second_file):
        os.utime(path, (1, 1))
    generate.generate(tmp_path, rows=40)
    assert first_file.stat().st_mtime == second_file.stat().st_mtime == 1

    first_file.write_bytes(good[:-10])
    generate.generate(tmp_path, rows=40)
    assert first_file.read_bytes() == good
    assert second_file.stat().st_mtime == 1

    generate.generate(tmp_path, rows=41)
    assert len(first_file.read_text().splitlines()) == 42
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_csv_value_reads_back_as_it_was_drawn(tmp_path):
    path, _ = generate.generate(tmp_path, rows=30)
    drawn = generate.draw(FIRST, SCHEMA, 30)
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    for i, (name, values) in enumerate(drawn.items()):
        read = [row[i] for row in rows]
        if values.dtype.kind in "if":
            assert [float(text) for text in read] == values.tolist(), name
        else:
            assert read == values.tolist(), name


def test_the_request_is_the_one_committed(tmp_path):
    written = generate.write_request(tmp_path / generate.REQUEST)
    assert written.read_bytes() == (generate.HERE / generate.REQUEST).read_bytes()


def test_the_request_has_ten_customers_of_neither_part(first, second):
    request = generate.draw_request(SCHEMA)
    rows = [str(i) for i in range(10)]
    assert list(request) == [column["name"] for column in SCHEMA["columns"]]
    assert all(list(column) == rows for column in request.values())
    assert sorted(request["churn"].values()) == [0] * 5 + [1] * 5
    known = set(first["mou_Mean"].tolist()) | set(second["mou_Mean"].tolist())
    assert not known & set(request["mou_Mean"].values())


def test_the_command_line(tmp_path, capsys):
    assert generate.main(["--out", str(tmp_path), "--rows", "3", "--seed", "5"]) == 0
    assert len((tmp_path / "data_part2.csv").read_text().splitlines()) == 4
    assert generate.main(["--out", str(tmp_path), "--request"]) == 0
    assert (tmp_path / generate.REQUEST).exists()
    with pytest.raises(SystemExit) as stop:
        generate.main(["--rows", "0"])
    assert stop.value.code == 2
    assert "--rows must be at least 1" in capsys.readouterr().err
