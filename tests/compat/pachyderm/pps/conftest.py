"""A pachd (or the one the environment names), and short ways to build pipelines through the official client."""

import importlib.util
import json
import sys
import uuid
from pathlib import Path

import pytest
import targets
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs, pps

PROCESS = Path(__file__).with_name("pachd_process.py")


def load_pachd_process():
    spec = importlib.util.spec_from_file_location("pachd_process", PROCESS)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pachd(tmp_path_factory):
    running = load_pachd_process().Pachd(tmp_path_factory.mktemp("pachd"))
    yield running
    running.stop()


class Bench:
    """Names that are this test's own, and the calls the tests repeat."""

    def __init__(self, client):
        self.client = client
        self.suffix = uuid.uuid4().hex[:8]

    def remove(self):
        """Remove what this test made on a server it shares."""
        for info in list(self.client.pps.list_pipeline()):
            if self.suffix in info.pipeline.name + info.pipeline.project.name:
                self.client.pps.delete_pipeline(pipeline=info.pipeline, force=True)
        for info in list(self.client.pfs.list_repo()):
            if self.suffix in info.repo.name:
                self.client.pfs.delete_repo(repo=info.repo, force=True)

    def name(self, base):
        return f"{base}-{self.suffix}"

    def repo(self, base):
        repo = pfs.Repo(name=self.name(base))
        self.client.pfs.create_repo(repo=repo)
        return repo

    def spec(self, base, *script, reads="data", glob="/*", **more):
        transform = {"cmd": ["/bin/sh", "-e"], "stdin": list(script), **more.pop("transform", {})}
        single = {"pfs": {"repo": self.name(reads), "name": reads, "glob": glob}}
        return {"pipeline": {"name": self.name(base)}, "transform": transform, "input": single, **more}

    def pipeline(self, base, *script, update=False, reprocess=False, **more):
        self.create(self.spec(base, *script, **more), update=update, reprocess=reprocess)
        return pps.Pipeline(name=self.name(base))

    def create(self, spec, **flags):
        return self.client.pps.create_pipeline_v2(create_pipeline_request_json=json.dumps(spec), **flags)

    def commit(self, base, files=(), delete=()):
        """Make one commit of new contents and deletions; return its id."""
        branch = pfs.Branch(repo=pfs.Repo(name=self.name(base)), name="master")
        with self.client.pfs.commit(branch=branch) as commit:
            for path in delete:
                commit.delete_file(path=path)
            for path, content in dict(files).items():
                commit.put_file_from_bytes(path=path, data=content.encode())
        return commit.id

    def wait(self, pipeline, job_id):
        return self.client.pps.inspect_job(job=pps.Job(pipeline=pipeline, id=job_id), wait=True, details=True)

    def first_job(self, pipeline):
        """Wait for the job that came with the pipeline."""
        return self.wait(pipeline, list(self.client.pps.list_job(pipeline=pipeline, history=-1))[-1].job.id)

    def output(self, pipeline, job_id):
        """Return path -> content of an output commit."""
        commit = pfs.Commit(repo=pfs.Repo(name=pipeline.name), id=job_id)
        files = self.client.pfs.glob_file(commit=commit, pattern="/**")
        return {
            info.file.path: self.client.pfs.pfs_file(info.file).read().decode()
            for info in files
            if info.file_type == pfs.FileType.FILE
        }

    def logs(self, pipeline, job_id=None, **filters):
        job = pps.Job(pipeline=pipeline, id=job_id) if job_id else None
        return self.client.pps.get_logs(pipeline=pipeline, job=job, **filters)


@pytest.fixture
def bench(request):
    if targets.PACHD is None:
        yield Bench(Client(host="127.0.0.1", port=request.getfixturevalue("pachd").port))
        return
    host, port = targets.split(targets.PACHD)
    bench = Bench(Client(host=host, port=port))
    yield bench
    bench.remove()


@pytest.fixture
def bench_of():
    """The class, for tests with a server of their own."""
    return Bench
