"""The experiment configuration: defaults, checks, merging with the master's storage."""

import pytest
import yaml

from pdk.determined.errors import InvalidConfig
from pdk.determined.master.config.experiment import Defaults, fill, is_legacy, storage_folder

DEFAULTS = Defaults("/data/checkpoints", "default")
MINIMAL = {
    "entrypoint": "model_def:MyTrial",
    "searcher": {"name": "single", "metric": "loss", "max_length": {"batches": 1000}},
}


def filled(**changes):
    return fill(yaml.safe_dump({**MINIMAL, **changes}), DEFAULTS)


def problems(**changes):
    with pytest.raises(InvalidConfig) as caught:
        filled(**changes)
    return caught.value.problems


def test_defaults_the_harness_relies_on():
    config = filled()
    assert config["scheduling_unit"] == 100
    assert config["min_validation_period"] == config["min_checkpoint_period"] == {"batches": 0}
    assert config["checkpoint_policy"] == "best"
    assert config["optimizations"]["aggregation_frequency"] == 1
    assert config["optimizations"]["gradient_compression"] is False
    assert config["profiling"]["enabled"] is False
    assert config["perform_initial_validation"] is False
    assert (config["max_restarts"], config["debug"]) == (5, False)
    assert config["resources"]["slots_per_trial"] == 1
    assert config["resources"]["resource_pool"] == "default"
    assert config["searcher"]["smaller_is_better"] is True
    assert config["name"].startswith("Experiment (")
    assert isinstance(config["reproducibility"]["experiment_seed"], int)


@pytest.mark.parametrize("description", [None, "mine"])
def test_a_pool_of_another_cluster_is_the_default_pool_and_the_description_says_so_once(description):
    config = filled(resources={"resource_pool": "gpu"}, description=description)
    warning = "resource pool 'gpu' does not exist on this master: this runs in pool 'default'"
    assert config["description"] == f"{description or ''}\n{warning}".strip()
    assert config["resources"]["resource_pool"] == "default"
    again = filled(resources={"resource_pool": "gpu"}, description=config["description"])
    assert again["description"] == config["description"]


def test_storage_of_the_master_is_completed_not_mixed():
    assert filled()["checkpoint_storage"] == {
        "type": "shared_fs",
        "host_path": "/data/checkpoints",
        "storage_path": None,
        "propagation": "rprivate",
        "save_experiment_best": 0,
        "save_trial_best": 1,
        "save_trial_latest": 1,
    }
    own = filled(checkpoint_storage={"save_trial_best": 3})["checkpoint_storage"]
    assert (own["host_path"], own["save_trial_best"]) == ("/data/checkpoints", 3)
    other = filled(checkpoint_storage={"type": "directory", "container_path": "/mnt/x"})["checkpoint_storage"]
    assert other["container_path"] == "/mnt/x"
    assert "host_path" not in other


def test_storage_folder():
    assert storage_folder({"type": "directory", "container_path": "/mnt/x"}) == "/mnt/x"
    assert storage_folder({"type": "shared_fs", "host_path": "/a", "storage_path": None}) == "/a"
    assert storage_folder({"type": "shared_fs", "host_path": "/a", "storage_path": "b/c"}) == "/a/b/c"
    assert storage_folder({"type": "shared_fs", "host_path": "/a", "storage_path": "/a/b"}) == "/a/b"


def test_null_means_absent_and_bare_values_are_const():
    config = filled(max_restarts=None, hyperparameters={"lr": 0.1, "layers": {"width": [1, 2]}})
    assert config["max_restarts"] == 5
    assert config["hyperparameters"] == {
        "lr": {"type": "const", "val": 0.1},
        "layers": {"width": {"type": "const", "val": [1, 2]}},
    }


def test_environment_variables_in_both_forms():
    assert filled(environment={"environment_variables": ["A=1"]})["environment"]["environment_variables"] == {
        "cpu": ["A=1"],
        "cuda": ["A=1"],
        "rocm": ["A=1"],
    }
    mapped = filled(environment={"environment_variables": {"cpu": {"A": "x"}}})["environment"]["environment_variables"]
    assert mapped["cpu"] == ["A=x"]
    found = problems(environment={"environment_variables": ["TOKEN WITH BLANK=geheim"]})
    assert "NAME=value" in found[0]
    assert "geheim" not in found[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"searcher": None}, "<config>.searcher: is required"),
        ({"entrypoint": None}, "<config>.entrypoint: is required"),
        ({"entrypoint": ""}, "<config>.entrypoint: must not be empty"),
        ({"entrypoint": [1]}, "<config>.entrypoint: must be text or a list of text"),
        ({"max_restarts": -1}, "<config>.max_restarts: must be at least 0"),
        ({"max_restarts": "5"}, "<config>.max_restarts: must be an integer"),
        ({"max_restarts": True}, "<config>.max_restarts: must be an integer"),
        ({"labels": "x"}, "<config>.labels: must be a list"),
        ({"min_validation_period": {}}, "<config>.min_validation_period: a length must have one attribute"),
        ({"min_validation_period": {"batches": 1, "epochs": 1}}, "a length must have one attribute"),
        ({"searcher": {"name": "single", "metric": "x", "max_length": {"batches": 0}}}, "must be at least 1"),
        ({"searcher": {"name": "single"}}, "<config>.searcher.metric: is required"),
        ({"searcher": {"name": "random", "metric": "x"}}, "<config>.searcher.max_trials: is required"),
        ({"searcher": {"name": "simulated", "metric": "x"}}, "<config>.searcher.name: must be one of single"),
        ({"searcher": {"name": "custom", "metric": "x"}}, "Unimplemented"),
        (
            {"checkpoint_storage": {"host_path": "relative"}},
            "<config>.checkpoint_storage.host_path: must be an absolute",
        ),
        ({"checkpoint_storage": {"storage_path": "../.."}}, "<config>.checkpoint_storage.storage_path"),
        ({"checkpoint_storage": {"storage_path": "/elsewhere"}}, "<config>.checkpoint_storage.storage_path"),
        ({"hyperparameters": {"n": {"type": "int", "minval": 3, "maxval": 1}}}, "<config>.hyperparameters.n: minval 3"),
        ({"hyperparameters": {"n": {"type": "integer"}}}, "<config>.hyperparameters.n.type: must be one of const"),
        ({"hyperparameters": {"a": {"b": {"type": "categorical"}}}}, "<config>.hyperparameters.a.b.vals: is required"),
        ({"resources": {"slots": 1}}, "<config>.resources.slots: unknown setting"),
        ({"workspace": "a"}, "workspace and project must both be included"),
        ({"reproducibility": {"experiment_seed": 2**31}}, "<config>.reproducibility.experiment_seed: must be at most"),
    ],
)
def test_problems_name_their_place(changes, expected):
    assert any(expected in problem for problem in problems(**changes)), problems(**changes)


def test_every_problem_is_told_at_once():
    found = problems(max_restarts=-1, labls=["x"], debug="no")
    assert len(found) == 3


def test_grid_needs_counts():
    hyperparameters = {"a": {"b": {"type": "double", "minval": 0, "maxval": 1}}, "c": 5}
    (problem,) = problems(hyperparameters=hyperparameters, searcher={"name": "grid", "metric": "x", "max_length": 5})
    assert problem == "<config>.hyperparameters.a.b: grid search is in use but count was not provided"


def test_max_length_is_only_for_trial_classes():
    searcher = {"name": "single", "metric": "loss"}
    assert "max_length" in problems(searcher=searcher)[0]
    assert filled(searcher=searcher, entrypoint="python3 train.py")["searcher"]["max_length"] is None


def test_what_is_a_trial_class():
    assert is_legacy("model_def:MyTrial")
    assert is_legacy("a.b_c:T1")
    assert not any(is_legacy(e) for e in ("python x.py", "model_def", "a-b:T", "a:b:c", ["model_def:T"]))
