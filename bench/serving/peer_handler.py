"""The peer of the benchmark: a handler the way the original example writes one.

Only the first instance is answered; every request becomes a pandas DataFrame that is scaled column by column, gets its
dummy columns category by category, and goes to the tensor through a list of rows. Network, weights, scales, categories
and threshold are those of the handler it is compared with, so both give the same predictions.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ts.torch_handler.base_handler import BaseHandler


class DataFrameHandler(BaseHandler):
    """A DataFrame per request."""

    def initialize(self, context: Any) -> None:
        folder = Path(context.system_properties["model_dir"])
        self.context = context
        self.manifest = context.manifest
        self.model_yaml_config: dict[str, Any] = {}
        self.device = torch.device("cpu")
        self.spec = json.loads((folder / "feature_spec.json").read_text())
        config = json.loads((folder / "model_config.json").read_text())
        module_spec = importlib.util.spec_from_file_location("peer_model", folder / "network.py")
        if module_spec is None or module_spec.loader is None:
            raise ImportError(f"{folder} holds no network.py")
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
        self.model = module.build_model(config["n_features"], config["hparams"])
        self.model.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        self.model.eval()
        self.initialized = True

    def preprocess(self, data: list[Any]) -> torch.Tensor:
        frame = pd.DataFrame.from_dict(data[0]["data"]).reset_index(drop=True)
        if self.spec["label"] in frame:
            frame = frame.drop(columns=self.spec["label"])
        for name, scale in self.spec["numeric"].items():
            frame[name] = (frame[name] - scale["mean"]) / scale["std"]
        for name, values in self.spec["categorical"].items():
            dummies = pd.get_dummies(pd.Categorical(frame[name], categories=values), prefix=name)
            frame = pd.concat([frame.drop(columns=name), dummies], axis=1)
        return torch.tensor(frame.to_numpy(dtype="float32").tolist())

    def inference(self, data: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        with torch.inference_mode():
            output = torch.sigmoid(self.model(data.to(self.device)))
            output[output < 0.5] = 0
            output[output >= 0.5] = 1
        return output
