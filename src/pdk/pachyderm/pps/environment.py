"""The environment user code runs in, in layers: `user_code` lays them over each other.

Mirrors `UserCodeEnv` of the original's driver and the pod's environment. Nothing of the server's own environment gets
in.
"""

from pdk.pachyderm.pps.scratch import Scratch
from pdk.pachyderm.pps.settings import Address, PpsSettings
from pdk.pachyderm.pps.types import Datum, Job, PipelineInfo


def base_environment(scratch: Scratch, settings: PpsSettings) -> dict[str, str]:
    """Return what any program needs; `PFS_ROOT` is pdk's own: where `/pfs` is when it cannot be a real path."""
    return {
        "PATH": settings.path,
        "HOME": str(scratch.home),
        "TMPDIR": str(scratch.tmp),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(settings.threads),
        "PFS_ROOT": scratch.pfs_root,
    }


def job_environment(info: PipelineInfo, job: Job, address: Address) -> dict[str, str]:
    """Return the variables that are the same for every datum of a job."""
    port = str(address.port)
    return {
        "PACH_JOB_ID": job.id,
        "PACH_OUTPUT_COMMIT_ID": job.id,
        "PACH_IN_WORKER": "true",
        "PACH_NAMESPACE": "default",
        "PPS_PIPELINE_NAME": job.pipeline.name,
        "PPS_PROJECT_NAME": job.pipeline.project,
        "PPS_SPEC_COMMIT": info.spec_commit.id,
        "PPS_POD_NAME": f"{job.pipeline.project}-{job.pipeline.name}-v{info.version}",
        "PPS_WORKER_IP": address.host,
        "PEER_PORT": port,
        "PACHD_SERVICE_HOST": address.host,
        "PACHD_SERVICE_PORT": port,
        "PACHD_PEER_SERVICE_HOST": address.host,
        "PACHD_PEER_SERVICE_PORT": port,
    }


def datum_environment(datum: Datum, pfs_root: str) -> dict[str, str]:
    """Return the variables that name one datum and its inputs."""
    result: dict[str, str] = {"PACH_DATUM_ID": datum.id}
    for item in datum.inputs:
        result[item.name] = f"{pfs_root}/{item.name}/{item.path.strip('/')}".rstrip("/")
        result[f"{item.name}_COMMIT"] = item.commit.id
        if item.join_on:
            result[f"PACH_DATUM_{item.name}_JOIN_ON"] = item.join_on
        if item.group_by:
            result[f"PACH_DATUM_{item.name}_GROUP_BY"] = item.group_by
    return result
