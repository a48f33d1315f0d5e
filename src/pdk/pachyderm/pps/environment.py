"""The environment user code runs in: a minimal base, what stands in for the image, the transform's own, Pachyderm's variables.

Called by `user_code`. Mirrors `UserCodeEnv` of the original's driver and the pod's environment; later layers win, as there. Nothing
of the server's own environment gets in.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pdk.pachyderm.pps.types import Datum, DatumInput, Job, PipelineInfo, PipelineSpec

PFS = "/pfs"


@dataclass(frozen=True)
class Address:
    """Where this pachd is reached."""

    host: str
    port: int


@dataclass(frozen=True)
class Layout:
    """Paths as user code sees them: the root of the inputs (`/pfs`, or a scratch folder without namespaces), home, temp folder."""

    pfs: str
    home: str
    tmp: str


def base_environment(layout: Layout, path: str, threads: int) -> dict[str, str]:
    """Return what any program needs; `PFS_ROOT` is pdk's own: where `/pfs` is when it cannot be a real path."""
    return {
        "PATH": path,
        "HOME": layout.home,
        "TMPDIR": layout.tmp,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        "PFS_ROOT": layout.pfs,
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


def datum_environment(datum: Datum, layout: Layout) -> dict[str, str]:
    """Return the variables that name one datum and its inputs."""
    result: dict[str, str] = {"PACH_DATUM_ID": datum.id}
    for item in datum.inputs:
        result[item.name] = input_path(item, layout)
        result[f"{item.name}_COMMIT"] = item.commit.id
        if item.join_on:
            result[f"PACH_DATUM_{item.name}_JOIN_ON"] = item.join_on
        if item.group_by:
            result[f"PACH_DATUM_{item.name}_GROUP_BY"] = item.group_by
    return result


def input_path(item: DatumInput, layout: Layout) -> str:
    """Return where user code finds the file or folder of an input."""
    return f"{layout.pfs}/{item.name}/{item.path.strip('/')}".rstrip("/")


def merged(spec: PipelineSpec, image: Mapping[str, str], *layers: Mapping[str, str]) -> dict[str, str]:
    """Lay the given layers over each other: first `layers[0]` (base), the image's, the transform's, then the rest."""
    result = dict(layers[0])
    for layer in (image, spec.transform.env, *layers[1:]):
        result.update(layer)
    return result


def env_file(environment: Mapping[str, str]) -> str:
    """Return the text of `/pfs/.env`: one `K=V` line per variable."""
    return "".join(f"{key}={value}\n" for key, value in environment.items())
