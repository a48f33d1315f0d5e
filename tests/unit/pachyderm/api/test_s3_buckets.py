import pytest

from pdk.base.errors import NotFound
from pdk.pachyderm.api.s3_buckets import bucket_handle
from pdk.pachyderm.pfs.types import CommitHandle
from pdk.pachyderm.values import Repo

ID = "0123456789ab4def0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "handle"),
    [
        ("data", CommitHandle(Repo("default", "data"), "", "master")),
        ("dev.data", CommitHandle(Repo("default", "data"), "", "dev")),
        ("dev.data.churn", CommitHandle(Repo("churn", "data"), "", "dev")),
        (f"{ID}.data", CommitHandle(Repo("default", "data"), ID, "master")),
        (f"{ID}.dev.data", CommitHandle(Repo("default", "data"), ID, "dev")),
        (f"{ID}.dev.data.churn", CommitHandle(Repo("churn", "data"), ID, "dev")),
        (ID, CommitHandle(Repo("default", ID), "", "master")),
    ],
)
def test_bucket_names(name, handle):
    assert bucket_handle(name) == handle


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a.b.c.d", f"{ID}.a.b.c.d"])
def test_names_that_are_no_bucket(name):
    with pytest.raises(NotFound):
        bucket_handle(name)
