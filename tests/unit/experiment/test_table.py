import gzip
import json
import logging
import random

import generate
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import quick_table
import table
from contract import ContractError

HEADER = ("months", "plan", "churn", "revenue")
GOOD = (12, "gold", 1, 20.5)


def problems(path, contract):
    with pytest.raises(ContractError) as error:
        table.read(path, contract)
    return list(map(str, error.value.problems))


def test_a_good_file_is_read_by_column_name(write_csv, contract):
    path = write_csv(("revenue", "churn", "plan", "months"), (20.5, 1, "gold", 12), ("-1e-3", 0, "basic", 3))
    read = table.read(path, contract)
    assert read.rows == 2
    assert read.columns["plan"] == ["gold", "basic"]
    assert read.columns["revenue"].tolist() == [20.5, -0.001]
    assert read.columns["months"].tolist() == [12.0, 3.0]
    assert read.columns["churn"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([GOOD, (12, "gold", 1, "much")], "data.csv, row 2, column 'revenue': expected a number, got 'much'"),
        ([GOOD, (12, "gold", 1, "inf")], "data.csv, row 2, column 'revenue': expected a finite number, got 'inf'"),
        ([GOOD, (12, "gold", 1, "1_0")], "data.csv, row 2, column 'revenue': expected a number, got '1_0'"),
        ([GOOD, (12.5, "gold", 1, 1)], "data.csv, row 2, column 'months': expected a whole number, got '12.5'"),
        ([GOOD, (12, "gold", 1, "")], "data.csv, row 2, column 'revenue': has no value"),
        ([GOOD, (12, "gold", 1, "nan")], "data.csv, row 2, column 'revenue': has no value"),
        ([GOOD, (12, "gold", 2, 1)], "data.csv, row 2, column 'churn': the label must be one of 0, 1, got '2'"),
        ([GOOD, (12, "gold", "NaN", 1)], "data.csv, row 2, column 'churn': has no value"),
        (
            [GOOD, (12, "gold", "yes", 1)],
            "data.csv, row 2, column 'churn': expected a number, got 'yes'. Likely cause: a yes/no column: make it "
            'categorical, or a label with values such as {"No": 0, "Yes": 1}',
        ),
        ([GOOD, (12, "", 1, 1)], "data.csv, row 2, column 'plan': has no value"),
        (
            [GOOD, (12, "silver", 1, 1)],
            "data.csv, row 2, column 'plan': unknown category 'silver'; the contract allows basic, gold",
        ),
        ([GOOD, (12, "gold", 1)], "data.csv, row 2: has 3 values, the header has 4"),
        (
            [GOOD, (*GOOD, 1)],
            "data.csv, row 2: has 5 values, the header has 4. Likely cause: a value that holds the separator and is "
            "not in quotes, such as a decimal comma",
        ),
        ([], "data.csv: has a header but no rows"),
    ],
)
def test_a_bad_row_is_named(write_csv, contract, rows, expected):
    assert problems(write_csv(HEADER, *rows), contract) == [expected]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (("months", "churn", "revenue"), ["data.csv, column 'plan': the header lacks this column"]),
        (
            (*HEADER, "months"),
            ["data.csv, column 'months': the header names this column 2 times"],
        ),
        (("12", "gold", "1", "2"), ["data.csv: is not CSV with a header: its first line has none of the 4 columns"]),
    ],
)
def test_a_bad_header_is_named(write_csv, contract, header, expected):
    assert problems(write_csv(header, tuple(1 for _ in header)), contract) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "data.csv: is empty"),
        (b"\n1,2\n", "data.csv: has no header: its first line is empty"),
        (b"PK\x03\x04\0\0\0", "data.csv: is not CSV but binary: it holds NUL bytes"),
        (
            b"months,plan,churn,revenue\n1,g\xfcld,1,2\n",
            "data.csv: is not CSV: byte 0xfc is not UTF-8 text. Likely cause: text of an older program (Latin-1): "
            'save it as UTF-8, or set "encoding": "latin-1" in the contract',
        ),
        (
            b'months,plan,churn,revenue\n12,gold,1,2\n12,"gold,1,2\n',
            "data.csv, row 2: is not CSV: unexpected end of data",
        ),
        (b'months,plan,churn,revenue\n12,"go"ld,1,2\n', "data.csv, row 1: is not CSV: ',' expected after '\"'"),
    ],
)
def test_what_is_not_csv_is_said_to_be_not_csv(tmp_path, contract, content, expected):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    assert problems(path, contract) == [expected]


def test_problems_are_summed_up_by_column_and_kind(write_csv, contract):
    bad = [(f"x{i}", "gold", 1, "") for i in range(50)]
    assert problems(write_csv(HEADER, GOOD, *bad, (1.5, "gold", 1, 1)), contract) == [
        "data.csv, row 2, column 'months': expected a number, got 'x0' (50 rows like this)",
        "data.csv, row 52, column 'months': expected a whole number, got '1.5'",
        "data.csv, row 2, column 'revenue': has no value (50 rows like this)",
    ]


def test_problems_of_several_columns_and_files_are_reported_together(write_csv, contract):
    first = write_csv(HEADER, ("x", "silver", 3, 1), name="a.csv")
    second = write_csv(HEADER, name="b.csv")
    with pytest.raises(ContractError) as error:
        table.read_all({"/a.csv": first, "/b.csv": second}, contract)
    assert [(p.file, p.row, p.column) for p in error.value.problems] == [
        ("/a.csv", 1, "months"),
        ("/a.csv", 1, "plan"),
        ("/a.csv", 1, "churn"),
        ("/b.csv", None, None),
    ]


def test_rows_are_counted_across_blocks(write_csv, contract):
    rows = [GOOD] * 5000
    rows[4321] = ("x", "gold", 1, 1)
    assert problems(write_csv(HEADER, *rows), contract) == [
        "data.csv, row 4322, column 'months': expected a number, got 'x'"
    ]


def test_quotes_a_byte_order_mark_and_empty_lines_are_fine(tmp_path, contract):
    path = tmp_path / "data.csv"
    path.write_bytes(
        b'\xef\xbb\xbf"months","plan","churn","revenue"\r\n"12","gold","1","2.5"\r\n\r\n3,basic,0,1\r\n\r\n'
    )
    read = table.read(path, contract)
    assert read.rows == 2
    assert read.columns["months"].tolist() == [12, 3]
    assert read.columns["plan"] == ["gold", "basic"]


def test_an_extra_column_is_ignored_and_said_or_refused(write_csv, contract, caplog):
    path = write_csv((*HEADER, "id"), (*GOOD, "abc-long-text"))
    with caplog.at_level(logging.WARNING):
        assert set(table.read(path, contract).columns) == set(HEADER)
    assert "ignoring columns the contract does not name: id" in caplog.text
    contract["extra_columns"] = "reject"
    assert problems(path, contract) == ["data.csv, column 'id': the contract does not know this column"]


def test_missing_values_are_kept_as_missing_where_the_contract_imputes_them(write_csv, contract):
    contract["columns"][3]["missing"] = {"impute": "mean"}
    contract["columns"][1]["missing"] = {"impute": "basic"}
    read = table.read(write_csv(HEADER, (12, "", 1, ""), (12, "NA", 1, "null"), GOOD), contract)
    assert read.columns["plan"] == [None, None, "gold"]
    assert np.isnan(read.columns["revenue"]).tolist() == [True, True, False]


def test_unknown_categories_pass_where_the_contract_allows_them(write_csv, contract):
    contract["unknown_categories"] = "other"
    assert table.read(write_csv(HEADER, (12, "silver", 1, 1)), contract).columns["plan"] == ["silver"]
    contract["unknown_categories"] = "reject"
    del contract["columns"][1]["categories"]
    assert table.read(write_csv(HEADER, (12, "silver", 1, 1)), contract).columns["plan"] == ["silver"]


@pytest.mark.seed("S2-19")
def test_several_files_are_one_table(write_csv, contract):
    files = {
        "/b.csv": write_csv(HEADER, GOOD, name="b.csv"),
        "/a.csv": write_csv(HEADER, (1, "basic", 0, 2), name="a.csv"),
    }
    read = table.read_all(files, contract)
    assert read.rows == 2
    assert read.columns["plan"] == ["basic", "gold"]
    assert read.columns["months"].tolist() == [1, 12]


def test_the_quick_way_accepts_nothing_that_the_careful_way_refuses(tmp_path, contract, monkeypatch):
    """Mutate good files at random: whatever numpy's reader takes, the careful reader takes with the same values."""
    rng = random.Random(1)
    alphabet = [
        "1",
        "0",
        ",",
        "\n",
        "_",
        " ",
        "e",
        "-",
        ".",
        "n",
        "gold",
        "basic",
        "nan",
        "inf",
        "\r",
        "#",
        "0x1",
        "\t",
        "٣",
    ]
    path = tmp_path / "data.csv"
    taken = 0
    for _ in range(600):
        text = "months,plan,churn,revenue\n12,gold,1,20.5\n3,basic,0,7\n"
        for _ in range(rng.choice((0, 1, 1, 2))):
            cut = rng.randrange(27, len(text))
            text = text[:cut] + rng.choice(alphabet) + text[cut + rng.choice((0, 1)) :]
        path.write_text(text, newline="")
        with table.opened(path, contract) as file:
            quick = quick_table.quick_table(file, HEADER, contract)
        if quick is None:
            continue
        taken += 1
        with monkeypatch.context() as patch:
            patch.setattr(table, "quick_table", lambda *_: None)
            careful = table.read(path, contract)
        assert quick.rows == careful.rows, text
        for name in HEADER:
            assert list(quick.columns[name]) == list(careful.columns[name]), text
    assert taken > 100


def test_the_contract_of_the_churn_data_takes_the_generated_data(tmp_path, churn_contract):
    first, second = generate.generate(tmp_path, rows=200)
    read = table.read_all({"1": first, "2": second}, churn_contract)
    assert read.rows == 400
    assert list(read.columns) == [fact["name"] for fact in churn_contract["columns"]]
    request = json.loads((generate.HERE / generate.REQUEST).read_text())
    lines = [list(request), *map(list, zip(*(rows.values() for rows in request.values()), strict=True))]
    path = tmp_path / "request.csv"
    path.write_text("\n".join(",".join(map(str, line)) for line in lines))
    assert table.read(path, churn_contract).rows == 10


def with_rules(contract, **rules):
    return {**contract, **rules}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_decimals_encodings_and_blanks_are_read_where_the_contract_says_so(
    tmp_path, contract, separator
):
    path = tmp_path / "data.csv"
    lines = ["months,plan,churn,revenue", "12, gold ,1,20;5", "3,basic,0,-7;25"]
    text = "\n".join(line.replace(",", separator).replace("0;5", "0,5").replace("7;25", "7,25") for line in lines)
    path.write_bytes(text.encode("utf-16"))
    rules = {"separator": separator, "decimal": ",", "encoding": "utf-16", "strip": True}
    read = table.read(path, with_rules(contract, **rules))
    assert read.columns["plan"] == ["gold", "basic"]
    assert read.columns["revenue"].tolist() == [20.5, -7.25]


def test_compressed_files_are_read_both_ways(tmp_path, contract):
    path = tmp_path / "data.csv.gz"
    for content in ("months,plan,churn,revenue\n12,gold,1,20.5\n", 'months,plan,churn,revenue\n12,"gold",1,20.5\n'):
        path.write_bytes(gzip.compress(content.encode()))
        assert table.read(path, contract).columns["revenue"].tolist() == [20.5]
    path.write_text("months,plan,churn,revenue\n12,gold,1,20.5\n")
    assert problems(path, contract)[0].startswith("data.csv.gz: is not gzip, as its name says")


def test_labels_of_texts_become_their_classes(write_csv, contract):
    contract["columns"][2] = {"name": "churn", "kind": "label", "values": {"No": 0, "no": 0, "Yes": 1}}
    good = write_csv(HEADER, (12, "gold", "Yes", 1), (12, "gold", "no", 1))
    assert table.read(good, contract).columns["churn"].tolist() == [1, 0]
    (problem,) = problems(write_csv(HEADER, (12, "gold", "YES", 1)), contract)
    assert "the label must be one of 'No', 'no', 'Yes', got 'YES'" in problem
    assert "written otherwise: the contract knows 'Yes'" in problem


def test_several_classes_and_numbers_as_labels(write_csv, contract):
    contract["task"] = "multiclass"
    contract["columns"][2]["values"] = [10, 20, 30]
    path = write_csv(HEADER, (12, "gold", "30.0", 1), (12, "gold", 10, 1))
    assert table.read(path, contract).columns["churn"].tolist() == [2, 0]
    contract["task"] = "regression"
    contract["columns"][2] = {"name": "churn", "kind": "label", "dtype": "float", "max": 100}
    assert table.read(path, contract).columns["churn"].tolist() == [30, 10]
    (problem,) = problems(write_csv(HEADER, (12, "gold", 101, 1)), contract)
    assert "column 'churn': must lie within -inf to 100, got '101'" in problem


def test_rows_without_a_label_are_left_out_where_the_contract_says_so(write_csv, contract, caplog):
    path = write_csv(HEADER, GOOD, (3, "basic", "", 1), (4, "basic", 0, 1))
    assert "row 2, column 'churn': has no value" in problems(path, contract)[0]
    contract["columns"][2]["missing"] = "drop"
    read = table.read(path, contract)
    assert (read.rows, read.columns["months"].tolist(), read.columns["plan"]) == (2, [12, 4], ["gold", "basic"])
    assert "1 of 3 rows have no label and are left out" in caplog.text
    assert problems(write_csv(HEADER, (3, "basic", "", 1)), contract) == [
        "data.csv, column 'churn': no row has a label"
    ]


def test_ten_thousand_columns_take_no_minutes(write_csv, contract):
    names = [f"c{i}" for i in range(10_000)]
    contract["columns"][:2] = [{"name": name, "kind": "numeric", "dtype": "float"} for name in names]
    path = write_csv([*names, "churn", "revenue"], [*["x"] * 10_000, 1, 2])
    found = problems(path, contract)
    assert len(found) == 10_000
    assert table.read(write_csv([*names, "churn", "revenue"], [1] * 10_002), contract).rows == 1


def test_parquet_is_read_as_csv_is(tmp_path, contract):
    path = tmp_path / "data.parquet"
    columns = {"months": [12, 3], "plan": ["gold", None], "churn": [1, 0], "revenue": [20.5, -0.25], "other": [1, 2]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert problems(path, contract) == ["data.parquet, row 2, column 'plan': has no value"]
    contract["columns"][1]["missing"] = {"impute": "basic"}
    read = table.read(path, contract)
    assert read.columns["plan"] == ["gold", None]
    assert read.columns["revenue"].tolist() == [20.5, -0.25]
    path.write_bytes(b"PAR1 and then nothing")
    assert problems(path, contract)[0].startswith("data.parquet: is not Parquet: ")
