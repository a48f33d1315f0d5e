"""What `deploy.py` is made of: one module per job.

modelinfo            model-info.yaml, read and written
archive              checkpoint -> .mar, and the gate it must pass
torchserve_config    config.properties
storage, buckets_*   the output commit, or a bucket
build                the `build` command

isvc                 the InferenceService as the kserve SDK's objects
cluster              the Kubernetes API: only a 404 means absent
readiness            is the new revision the one that serves? (pure)
probe                asks the data plane
rollout              the `rollout` command
"""
