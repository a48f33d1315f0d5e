import json
from pathlib import Path

from pdk.projects import model_file, pipelines

ROOT = Path(__file__).parents[3]


def specs(**document):
    texts = pipelines.render(model_file.parse({"name": "rents", **document}, "model.yaml"))
    return [json.loads(text) for text in texts.values()]


def commands(**document):
    return [spec["transform"]["stdin"][0] for spec in specs(**document)]


def test_the_churn_projects_pipelines_are_what_its_model_file_gives():
    for name, text in pipelines.render(model_file.read(ROOT / "experiment")).items():
        assert (ROOT / "pipelines" / name).read_text() == text


def test_each_reads_what_the_one_before_it_writes():
    training, deployment, rollout = specs(project="p")
    assert training["input"]["pfs"]["repo"] == "rents-data"
    assert deployment["input"]["pfs"]["repo"] == training["pipeline"]["name"] == "rents-train"
    assert rollout["input"]["pfs"]["repo"] == deployment["pipeline"]["name"] == "rents-deploy"
    assert {spec["pipeline"]["project"]["name"] for spec in (training, deployment, rollout)} == {"p"}
    secrets = [secret["name"] for spec in (training, deployment, rollout) for secret in spec["transform"]["secrets"]]
    assert set(secrets) == {"rents-secret"}


def test_the_code_comes_from_its_repo_or_from_git():
    assert '--code "pfs://$PPS_PROJECT_NAME/rents-code@"master ' in commands()[0]
    from_git = specs(code={"git_sub_dir": "models/rents"})[0]
    assert '--git-url "$CODE_URL" --git-ref "$CODE_REF" --sub-dir models/rents ' in from_git["transform"]["stdin"][0]
    assert {"CODE_URL", "CODE_REF"} < {secret["env_var"] for secret in from_git["transform"]["secrets"]}


def test_code_that_retrains_is_an_input():
    training = specs(code={"retrain": True})[0]
    assert [each["pfs"]["name"] for each in training["input"]["cross"]] == ["data", "code"]
    assert '@"$code_COMMIT" '.replace('"$', '""$') in training["transform"]["stdin"][0]


def test_options_stand_only_where_they_differ_from_the_default():
    assert commands()[1] == "exec python deploy.py build --deployment-name rents"
    assert commands(build={"handler": "h.py", "extra_files": ["a", "b"], "batch_size": 8})[1].endswith(
        "--deployment-name rents --handler h.py --extra-files a,b --batch-size 8"
    )
    assert commands(train={"incremental": False})[0].endswith(" --no-incremental")
    rollout = commands(rollout={"runtime": "torch-2", "tolerations": {"gpu": "yes"}, "requests": {}})[2]
    assert "--tolerations gpu=yes --runtime torch-2 --timeout 600" in rollout
    assert "--resource-requests" not in rollout
