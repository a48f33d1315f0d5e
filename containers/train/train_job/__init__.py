"""The steps of the training job, one module each; ``train.py`` puts them in order."""
