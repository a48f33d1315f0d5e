import pytest
import table
from contract import ContractError


def problems(path, contract):
    with pytest.raises(ContractError) as error:
        table.read(path, contract)
    return list(map(str, error.value.problems))


CAUSES = {
    "semicolons": ("months;plan;churn;revenue\n12;gold;1;2\n", "separated by a semicolon: set \"separator\": ';'"),
    "case": ("Months,Plan,Churn,Revenue\n12,gold,1,2\n", "other case or blanks: the file says 'Months'"),
    "blanks in the header": ("months, plan,churn,revenue\n12,gold,1,2\n", "the file says ' plan', the contract 'plan'"),
    "a comma at the end": ("months,plan,churn,revenue\n12,gold,1,2,\n", "a separator at the end of every line"),
    "an index": ("months,plan,churn,revenue\n0,12,gold,1,2\n", "a row number in front of every line"),
    "Ctrl-Z": ("months,plan,churn,revenue\n12,gold,1,2\n\x1a", "a Ctrl-Z at the end of the file"),
    "thousands": ('months,plan,churn,revenue\n12,gold,1,"1,234.50"\n', "thousands separators"),
    "decimal comma": ('months,plan,churn,revenue\n12,gold,1,"1,5"\n', 'decimal commas: set "decimal": ","'),
    "currency": ("months,plan,churn,revenue\n12,gold,1,$5\n", "a currency sign"),
    "True": ("months,plan,churn,revenue\n12,gold,True,5\n", "a yes/no column"),
    "blanks": ("months,plan,churn,revenue\n12,gold ,1,5\n", 'blanks around the value: set "strip": true'),
    "a slip": ("months,plan,churn,revenue\n12,golf,1,5\n", "a new category, or a slip for 'gold'"),
    "other digits": ("months,plan,churn,revenue\n١٢,gold,1,5\n", "digits of another script"),
}


@pytest.mark.parametrize(("content", "cause"), CAUSES.values(), ids=CAUSES)
def test_the_likely_cause_is_named(tmp_path, contract, content, cause):
    path = tmp_path / "data.csv"
    path.write_text(content)
    assert cause in " ".join(problems(path, contract))


def test_utf_16_is_named(tmp_path, contract):
    path = tmp_path / "data.csv"
    path.write_text("months,plan,churn,revenue\n12,gold,1,2\n", encoding="utf-16")
    assert "Likely cause: UTF-16 text" in problems(path, contract)[0]
