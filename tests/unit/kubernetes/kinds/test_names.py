"""Names, labels, annotations."""

import pytest

from pdk.kubernetes.kinds.names import (
    annotation_causes,
    is_label,
    is_subdomain,
    label_1035_problem,
    label_causes,
    label_problem,
    subdomain_problem,
)


@pytest.mark.parametrize("text", ["a", "a-b", "a1", "0", "a" * 63])
def test_labels(text):
    assert is_label(text)
    assert is_subdomain(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a.", "A", "a_b", "-a", "a-", "a/b", "a\nb", "a\n", "a" * 64, "é"])
def test_not_labels(text):
    assert not is_label(text)


def test_subdomains():
    assert is_subdomain("a.b-c.d1")
    assert not is_subdomain("a..b")
    assert not is_subdomain("a" * 254)


def test_each_kind_has_its_rule():
    assert subdomain_problem("a.b") is None
    assert "RFC 1123 label" in label_problem("a.b")
    assert "DNS-1035" in label_1035_problem("1a")
    assert "253" in subdomain_problem("a" * 300)


def test_label_rules():
    assert list(label_causes({"app.kubernetes.io/name": "x", "a": ""})) == []
    texts = [cause.message for cause in label_causes({"-a": "x", "b": "x y", "/c": "", "d": "e" * 64})]
    assert len(texts) == 4
    assert "prefix part must be non-empty" in texts[2]


def test_annotations_have_a_limit_together():
    assert list(annotation_causes({"a/b": "any text\n"})) == []
    assert "may not be more than 262144 bytes" in next(annotation_causes({"a": "x" * 262144})).message
