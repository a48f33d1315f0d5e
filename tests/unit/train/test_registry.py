import pytest
from train_job import registry
from train_job.failure import TrainError

A, B, C = ("a" * 12 + "4" + "a" * 19, "b" * 12 + "4" + "b" * 19, "c" * 12 + "4" + "c" * 19)


@pytest.fixture
def models(determined):
    return registry.Registry(determined, "customer-churn")


def test_a_model_is_found_by_its_exact_name(models, master):
    master.add_version("customer-churn-2", A)
    master.add_version("Customer-Churn", A)
    assert models.find_model() is None
    assert models.versions() == []
    master.add_version("customer-churn", A)
    assert models.find_model().name == "customer-churn"


def test_versions_come_newest_first(models, master):
    for name in (A, B, C):
        master.add_version("customer-churn", name)
    assert [version.name for version in models.versions()] == [C, B, A]
    assert registry.version_of_job(models.versions(), B).model_version == 2
    assert registry.version_of_job(models.versions(), "other") is None


def test_registering_creates_the_model_once_and_the_version_once(models, master):
    master.add_checkpoint("x", 1, 0.8)
    version = models.register("x", A, ["train", "customers"], {"data_commit": A})
    again = models.register("x", A, ["train", "customers"], {"data_commit": A})
    assert version.model_version == again.model_version == 1
    assert master.models["customer-churn"]["labels"] == ["train", "customers"]
    assert master.models["customer-churn"]["metadata"] == {"pipeline": "train", "repository": "customers"}
    (stored,) = master.versions["customer-churn"]
    assert stored["name"] == A
    assert stored["notes"] == f"Job_id/commit_id = {A}"
    assert stored["metadata"] == {"data_commit": A}
    models.register("x", B, ["train", "customers"], {})
    assert master.posts("/api/v1/models") == [
        "/api/v1/models",
        "/api/v1/models/customer-churn/versions",
        "/api/v1/models/customer-churn/versions",
    ]


def test_a_master_that_is_away_is_waited_for(models, master):
    master.add_checkpoint("x", 1, 0.8)
    master.outages = 3
    assert models.register("x", A, ["train", "customers"], {}).model_version == 1


def test_an_archived_model_takes_no_version(models, master):
    master.add_version("customer-churn", A)
    master.models["customer-churn"]["archived"] = True
    with pytest.raises(TrainError, match="is archived"):
        models.register("checkpoint-0", B, ["train", "customers"], {})


def test_training_goes_on_from_the_newest_version_of_other_data(models, master):
    master.add_version("customer-churn", A, data_commit=A)
    master.add_version("customer-churn", B)  # without metadata, its name is the commit
    assert registry.base_version(models.versions(), C).name == B
    assert registry.base_version(models.versions(), B).name == A
    assert registry.data_commit_of(models.versions()[0]) == B


def test_a_version_made_again_on_the_same_data_starts_where_the_first_did(models, master):
    master.add_version("customer-churn", A, data_commit=A)
    master.add_version("customer-churn", B, data_commit=B)
    master.add_version("customer-churn", C, data_commit=B)  # another job, same data
    assert registry.base_version(models.versions(), B).name == A


def test_versions_made_by_hand_are_passed_over(models, master):
    master.add_version("customer-churn", "my favourite")
    assert registry.base_version(models.versions(), A) is None


def test_a_version_whose_checkpoint_is_gone_cannot_be_gone_on_from(models, master):
    master.add_version("customer-churn", A)
    master.checkpoints["checkpoint-0"]["state"] = "STATE_DELETED"
    with pytest.raises(TrainError, match=r"checkpoint of version 1.* is gone") as error:
        registry.base_version(models.versions(), B)
    assert "--no-incremental" in error.value.remedy
