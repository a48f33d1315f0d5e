"""A tiny regression trial: fast, deterministic, and able to misbehave on request (hyperparameters of the tests)."""

import time

import determined as det
import torch
from determined import pytorch


class ToyTrial(pytorch.PyTorchTrial):
    def __init__(self, context):
        self.context = context
        hparams = context.get_hparams()
        if hparams.get("invalid"):
            raise det.InvalidHP("learning rate makes no sense")
        if hparams.get("raises"):
            raise ValueError("no rows in the data of this commit")
        self.pause = hparams.get("pause", 0.0)
        torch.manual_seed(0)
        self.model = context.wrap_model(torch.nn.Linear(4, 1))
        self.optimizer = context.wrap_optimizer(torch.optim.SGD(self.model.parameters(), lr=hparams["lr"]))
        features = torch.randn(256, 4)
        self.data = torch.utils.data.TensorDataset(features, features.sum(dim=1, keepdim=True))

    def build_training_data_loader(self):
        return pytorch.DataLoader(self.data, batch_size=self.context.get_hparam("global_batch_size"))

    def build_validation_data_loader(self):
        return pytorch.DataLoader(self.data, batch_size=64)

    def train_batch(self, batch, epoch_idx, batch_idx):
        if self.pause:
            time.sleep(self.pause)
        features, target = batch
        loss = torch.nn.functional.mse_loss(self.model(features), target)
        self.context.backward(loss)
        self.context.step_optimizer(self.optimizer)
        return {"loss": loss}

    def evaluate_batch(self, batch):
        features, target = batch
        return {"val_loss": torch.nn.functional.mse_loss(self.model(features), target), "nothing": float("nan")}
