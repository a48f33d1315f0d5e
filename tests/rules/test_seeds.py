"""Every capability of the founding document has a test that carries its id, or a line that says what stands in."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
IDS = {f"S2-{number:02}" for number in range(1, 49)}


def carried():
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.seed":
                yield from (argument.value for argument in node.args)


def test_no_capability_is_without_a_test_or_a_line():
    said = set(re.findall(r"^\| (S\d-\d\d) \|", (ROOT / "docs" / "seeds.md").read_text(), re.MULTILINE))
    tested = set(carried())
    assert IDS - tested - said == set()
    assert (tested | said) - IDS == set()
