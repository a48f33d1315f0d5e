import json

import checkpoints
import torch
from feature_spec import FeatureSpec, Scale
from network import build_model

SPEC = FeatureSpec(("a",), {"a": Scale(0.0, 1.0)}, {}, "y")
HPARAMS = {"hidden_size": 4, "layers": 1, "dropout": 0.1, "global_batch_size": 8}


def test_the_files_rebuild_the_network_without_determined_or_pickle(tmp_path):
    model = build_model(SPEC.n_features, HPARAMS).eval()
    checkpoints.write(tmp_path, SPEC, model, HPARAMS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "feature_spec.json", "feature_spec.py", "features.py", "model.py", "model_config.json", "network.py",
        "signature.json", "weights.pt",
    ]  # fmt: skip

    assert FeatureSpec.from_json((tmp_path / "feature_spec.json").read_text()) == SPEC
    config = json.loads((tmp_path / "model_config.json").read_text())
    assert config["n_features"] == 1
    assert config["hparams"] == HPARAMS
    again = build_model(config["n_features"], config["hparams"]).eval()
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    rows = torch.randn(5, 1)
    assert torch.equal(again(rows), model(rows))
