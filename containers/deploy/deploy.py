"""Put a trained model into service: the two commands of the deployment and the rollout pipeline.

    python deploy.py build   --deployment-name NAME
    python deploy.py rollout --deployment-name NAME --service-account-name pach-deploy

`build` turns the checkpoint of the training pipeline into a TorchServe archive that is known to answer, and stores it
in the job's output commit or in a bucket. `rollout` runs on that finished commit, points the InferenceService at it
and waits until the new revision answers. Two pipelines, because what a job writes is readable only when it has ended.

Both read their surroundings from the environment Pachyderm gives a job; every option has a default that fits there.
An empty variable counts as unset, so one pipeline file serves with and without a bucket. The last line of a failed
job says what is wrong, where, and what to do.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployment.errors import DeployError, InputError
from deployment.torchserve_config import Serving

# Another place only where /pfs cannot be a real path; Pachyderm itself does not set it.
PFS = Path(os.environ.get("PFS_ROOT") or "/pfs")
DEFAULT_NAMESPACE = "models"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it did what it says, 1 with the reason as the last line if not."""
    args = parser_for(os.environ).parse_args(arguments)
    try:
        args.command(args)
    except DeployError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


def build(args: argparse.Namespace) -> None:
    """Make, check and store the archive, and write model-info.yaml for the rollout."""
    from deployment.build import BuildOptions, run  # noqa: PLC0415 - each command loads only what it needs
    from deployment.staging import Given  # noqa: PLC0415

    if bool(args.cloud_model_host) != bool(args.cloud_model_bucket):
        raise InputError("--cloud-model-host and --cloud-model-bucket belong together: give both, or neither")
    if args.extra_files and not args.handler:
        raise InputError("--extra-files go with --handler: a serving folder holds its files itself")
    options = BuildOptions(
        source=_input(args.input),
        output=args.output,
        served_name=args.deployment_name,
        job=_variable("PACH_JOB_ID"),
        pipeline=_variable("PPS_PIPELINE_NAME"),
        project=os.environ.get("PPS_PROJECT_NAME") or "default",
        host=args.cloud_model_host,
        bucket=args.cloud_model_bucket,
        credentials_file=args.google_application_credentials,
        given=Given(args.handler, args.extra_files) if args.handler else None,
        serving=Serving(
            max_rows=args.max_rows,
            workers=args.workers,
            batch_size=args.batch_size,
            max_batch_delay=args.max_batch_delay,
        ),
    )
    run(options, _say)


def rollout(args: argparse.Namespace) -> None:
    """Apply the InferenceService, wait for it, and write rollout.yaml."""
    from deployment.modelinfo import write_yaml  # noqa: PLC0415
    from deployment.rollout import ROLLOUT_FILE, Rollout, RolloutOptions  # noqa: PLC0415 - kserve takes over a second

    source = _input(args.input)
    options = RolloutOptions(
        source=source,
        input_commit=args.commit or _input_commit(source),
        deployment_name=args.deployment_name,
        namespace=args.namespace,
        job=_variable("PACH_JOB_ID"),
        config_file=args.k8s_config_file,
        ingress=f"{args.ingress_host}:{args.ingress_port}" if args.ingress_host else None,
        service_account=args.service_account_name,
        tolerations=args.tolerations,
        requests=args.resource_requests,
        limits=args.resource_limits,
        runtime=args.runtime,
        timeout=args.timeout,
        wait=args.wait,
        force=args.force,
    )
    document = Rollout(options, _say).run()
    write_yaml(args.output / ROLLOUT_FILE, document)
    _say(f"done in {document['seconds']} s")


def parser_for(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """Give the parser of the command line, with what the environment says as defaults."""
    parser = argparse.ArgumentParser(
        prog="deploy.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    making = commands.add_parser("build", help="checkpoint -> archive, checked and stored")
    making.set_defaults(command=build)
    rolling = commands.add_parser("rollout", help="InferenceService -> the built model, until it answers")
    rolling.set_defaults(command=rollout)
    for command in (making, rolling):
        add = command.add_argument
        add("--deployment-name", required=True, help="name of the InferenceService and of the served model")
        add("--input", type=Path, help="folder of the input (default: the only one in /pfs)")
        add("--output", type=Path, default=PFS / "out", help="where to write (default /pfs/out)")
    _add_build_options(making, environment)
    _add_rollout_options(rolling, environment)
    return parser


def _add_build_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    add = parser.add_argument
    add(
        "--cloud-model-host",
        type=_cloud,
        metavar="{gcp,aws}",
        default=environment.get("CLOUD_MODEL_HOST"),
        help="store the model in a bucket of this cloud [CLOUD_MODEL_HOST]; without one it stays in the output commit",
    )
    add(
        "--cloud-model-bucket",
        type=_optional,
        metavar="BUCKET",
        default=environment.get("CLOUD_MODEL_BUCKET"),
        help="the bucket [CLOUD_MODEL_BUCKET]",
    )
    add(
        "--google-application-credentials",
        type=_optional,
        metavar="FILE",
        default=environment.get("GOOGLE_APPLICATION_CREDENTIALS"),
        help="key of the account that may write the bucket [GOOGLE_APPLICATION_CREDENTIALS]",
    )
    add(
        "--handler",
        type=_optional,
        metavar="FILE",
        help="handler of a PyTorchTrial whose checkpoint has no serving/, relative to the experiment's code, else to "
        "this folder; the network goes with it as TorchScript, scriptmodule.pt",
    )
    add("--extra-files", type=_list, default=[], metavar="A,B", help="files and folders the handler needs, likewise")
    add("--workers", type=_count, default=1, metavar="N", help="TorchServe workers per replica (default 1)")
    add("--batch-size", type=_count, default=1, metavar="N", help="requests answered together (default 1)")
    add("--max-batch-delay", type=_count, default=5, metavar="MS", help="longest wait for a batch to fill (default 5)")
    add("--max-rows", type=_count, default=10_000, metavar="N", help="most rows in one request (default 10000)")


def _add_rollout_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    add = parser.add_argument
    add(
        "--namespace",
        default=environment.get("KSERVE_NAMESPACE") or DEFAULT_NAMESPACE,
        help=f"where the InferenceService lives [KSERVE_NAMESPACE] (default {DEFAULT_NAMESPACE})",
    )
    add("--commit", help="commit the input was read from (default: what Pachyderm says)")
    add(
        "--service-account-name",
        type=_optional,
        metavar="NAME",
        help="account whose secret reads the output commit through Pachyderm's S3 gateway; not used with a bucket",
    )
    add(
        "--k8s-config-file",
        type=_optional,
        metavar="FILE",
        help="kubeconfig (default: the pod's own account, else $KUBECONFIG or ~/.kube/config)",
    )
    add("--tolerations", type=_pairs, default={}, metavar="KEY=VALUE,...", help="taints to tolerate (NoSchedule)")
    add("--resource-requests", type=_pairs, default={}, metavar="KEY=VALUE,...", help="such as cpu=1,memory=2Gi")
    add("--resource-limits", type=_pairs, default={}, metavar="KEY=VALUE,...", help="such as cpu=2,memory=4Gi")
    add(
        "--runtime",
        type=_optional,
        metavar="NAME",
        help="serving runtime of the cluster that serves the model (default: KServe chooses); one whose annotation "
        "pdk/python (such as 3.9) is too old for the archive is refused",
    )
    _add_ingress_options(parser, environment)
    add(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="wait until the new revision answers (default: yes)",
    )
    add("--timeout", type=_seconds, default=600.0, metavar="SECONDS", help="deadline (default 600)")
    add("--force", action="store_true", help="replace a newer model version: a rollback")


def _add_ingress_options(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    add = parser.add_argument
    add(
        "--ingress-host",
        type=_optional,
        metavar="HOST",
        default=environment.get("INGRESS_HOST"),
        help="where to ask the model [INGRESS_HOST] (default: the Istio ingress gateway, else the service's own URL)",
    )
    add(
        "--ingress-port",
        type=_count,
        metavar="PORT",
        default=environment.get("INGRESS_PORT") or "80",
        help="[INGRESS_PORT] (default 80)",
    )


def _optional(text: str) -> str | None:
    return text or None


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _cloud(text: str) -> str | None:
    if text not in ("", "gcp", "aws"):
        raise argparse.ArgumentTypeError(f"must be gcp or aws, not {text!r}")
    return text or None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def _pairs(text: str) -> dict[str, str]:
    """Read "cpu=1,memory=2Gi"."""
    pairs = {}
    for item in filter(None, text.split(",")):
        key, separator, value = item.partition("=")
        if not (key and separator and value):
            raise argparse.ArgumentTypeError(f"expected KEY=VALUE,KEY=VALUE, not {item!r}")
        pairs[key] = value
    return pairs


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise InputError(f"{name} is not set: Pachyderm sets it for every job; outside of one, set it yourself")
    return value


def _input(given: Path | None) -> Path:
    """Find the job's input folder."""
    if given is not None:
        return given
    folders = sorted(path for path in PFS.iterdir() if path.is_dir() and path.name != "out") if PFS.is_dir() else []
    if len(folders) != 1:
        found = ", ".join(path.name for path in folders) or "nothing"
        raise InputError(f"cannot tell the input: {PFS} holds {found} beside out; name the folder with --input")
    return folders[0]


def _input_commit(source: Path) -> str:
    """Find the commit the input was read from.

    Pachyderm names it in `<input name>_COMMIT`. It may be older than the job (a pipeline made anew runs on the commits
    there are), so the job's id does not stand in for it. A shell passes variables on only if their names are
    identifiers: an input called `my-repo` needs another `name` in the pipeline's spec.
    """
    variable = f"{source.name}_COMMIT"
    commit = os.environ.get(variable)
    if not commit:
        raise InputError(
            f"{variable} is not set, so the commit of {source} is unknown: give the input a name without hyphens in "
            "the pipeline's spec (a shell drops such variables), or use --commit"
        )
    return commit


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
