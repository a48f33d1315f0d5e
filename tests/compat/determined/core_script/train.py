"""A training loop on the Core API without torch: starts in half a second, checkpoints every 10 steps, can be paused."""

import sys
import time

import determined as det
from determined import core

END, SECONDS, OBEY = int(sys.argv[1]), float(sys.argv[2]), "--stubborn" not in sys.argv


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(context, info):
    steps = 0
    if info.latest_checkpoint:
        with context.checkpoint.restore_path(info.latest_checkpoint) as path:
            steps = int((path / "steps").read_text())
    say(f"starting from step {steps}")
    while steps < END:
        time.sleep(SECONDS)
        steps += 1
        if steps % 10:
            continue
        context.train.report_validation_metrics(steps, {"loss": 1 / steps})
        context.train.report_progress(steps / END)
        with context.checkpoint.store_path({"steps_completed": steps}) as (path, _):
            (path / "steps").write_text(str(steps))
        if OBEY and context.preempt.should_preempt():
            say(f"leaving at step {steps}")
            return


info = det.get_cluster_info()
if info.trial.hparams.get("invalid"):
    with core.init(tensorboard_mode=core.TensorboardMode.MANUAL):
        raise det.InvalidHP("these hyperparameters cannot work")
with core.init(tensorboard_mode=core.TensorboardMode.MANUAL) as context:
    main(context, info)
