import pytest
import yaml
from determined.common.api import errors
from train_job import output


class Checkpoint:
    """Downloads two files, after as many failures as told."""

    def __init__(self, failures=0):
        self.failures = failures

    def download(self, path):
        from_scratch = output.Path(path)
        from_scratch.mkdir()
        if self.failures:
            self.failures -= 1
            (from_scratch / "half").write_text("")
            raise errors.MasterNotFoundException("refused")
        (from_scratch / "weights.pt").write_text("w")


INFO = {
    "name": "customer-churn",
    "version": 2,
    "version_name": "1234",
    "metrics": {"val_auc": 0.75},
    "previous_commit": None,
}


@pytest.mark.parametrize("failures", [0, 2])
def test_checkpoint_and_info_are_left_for_the_next_pipeline(tmp_path, failures):
    out = tmp_path / "pfs" / "out"
    output.write(out, Checkpoint(failures), INFO)
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == [
        "checkpoint",
        "checkpoint/weights.pt",
        "model-info.yaml",
    ]
    text = (out / "model-info.yaml").read_text()
    assert yaml.safe_load(text) == INFO
    assert text.startswith("name: customer-churn\nversion: 2\n")


def test_what_an_interrupted_attempt_left_is_replaced(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "half").write_text("")
    output.write(tmp_path, Checkpoint(), INFO)
    assert not (tmp_path / "checkpoint" / "half").exists()


def test_without_a_checkpoint_there_is_no_info(tmp_path):
    broken = Checkpoint()
    broken.download = lambda path: (_ for _ in ()).throw(OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        output.write(tmp_path, broken, INFO)
    assert not (tmp_path / "model-info.yaml").exists()
