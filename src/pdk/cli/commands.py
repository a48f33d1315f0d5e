"""Every command word, where its command is, and the short help that lists it without importing it."""

from collections.abc import Mapping
from typing import NamedTuple


class CommandEntry(NamedTuple):
    """One command: `module:function`, and its own short help (a test compares them); empty help hides it from lists."""

    target: str
    help: str


class GroupEntry(NamedTuple):
    """A verb that goes with several nouns."""

    help: str
    example: str
    nouns: Mapping[str, CommandEntry]


STACK, FILES, OBJECTS = "pdk.cli.stack", "pdk.cli.files", "pdk.cli.objects"

COMMANDS: Mapping[str, CommandEntry | GroupEntry] = {
    "up": CommandEntry(
        f"{STACK}:up", "Start the servers and wait until they answer; does nothing when they run already."
    ),
    "down": CommandEntry(f"{STACK}:down", "Stop the servers and everything they started; data stays."),
    "env": CommandEntry(
        f"{STACK}:env", "Print the variables that point the shell, pachctl, det, kubectl and the SDKs at this stack."
    ),
    "serve": CommandEntry(f"{STACK}:serve", "Run one server in this terminal, without restarts."),
    "supervise": CommandEntry(f"{STACK}:supervise", ""),
    "status": CommandEntry(
        "pdk.cli.status:status",
        "Show the servers, the last job of every pipeline with its reason, experiments and InferenceServices.",
    ),
    "logs": CommandEntry("pdk.cli.logs:logs", "Show the log of a pipeline, of a job, or of a server."),
    "new": CommandEntry(
        "pdk.cli.projects:new", "Write a model's folder: from a CSV, or from a template to start from scratch."
    ),
    "apply": CommandEntry(
        "pdk.cli.projects:apply",
        "Set a model's folder up: projects, repos, secret, service account, code, pipelines; as often as you like.",
    ),
    "check": CommandEntry(
        "pdk.cli.projects:check",
        "Say what would stop training, build or rollout of a model's folder; exit status 1 if anything would.",
    ),
    "predict": CommandEntry("pdk.cli.projects:predict", "Ask a model for the rows of a file."),
    "put": GroupEntry(
        "Put files into a repo.",
        "pdk put file data@master:a.csv -f a.csv",
        {
            "file": CommandEntry(
                f"{FILES}:put_file", "Put files as one commit; nothing is visible before all of it arrived."
            )
        },
    ),
    "get": GroupEntry(
        "Get files out of a repo.",
        "pdk get file data@master:a.csv",
        {"file": CommandEntry(f"{FILES}:get_file", "Print a file's content, or write it to -o.")},
    ),
    "create": GroupEntry(
        "Create a project, repo, pipeline or secret.",
        "pdk create repo data",
        {
            "project": CommandEntry(f"{OBJECTS}:create_project", "Create a project."),
            "repo": CommandEntry(f"{OBJECTS}:create_repo", "Create a repo."),
            "pipeline": CommandEntry(f"{OBJECTS}:create_pipeline", "Create pipelines from JSON specs."),
            "secret": CommandEntry(f"{OBJECTS}:create_secret", "Create a secret that pipelines refer to."),
        },
    ),
    "update": GroupEntry(
        "Update a pipeline, or the default project.",
        "pdk update context --project churn",
        {
            "pipeline": CommandEntry(
                f"{OBJECTS}:update_pipeline", "Update pipelines from JSON specs (creates those that do not exist)."
            ),
            "context": CommandEntry(
                f"{OBJECTS}:update_context",
                "Set the default project, as `pachctl config update context --project` does.",
            ),
        },
    ),
    "list": GroupEntry(
        "List projects, repos, commits, files, pipelines or jobs.",
        "pdk list job",
        {
            "project": CommandEntry(f"{OBJECTS}:list_project", "List projects."),
            "repo": CommandEntry(f"{OBJECTS}:list_repo", "List the repos of a project."),
            "commit": CommandEntry(f"{OBJECTS}:list_commit", "List the commits of a repo, newest first."),
            "pipeline": CommandEntry(f"{OBJECTS}:list_pipeline", "List the pipelines of a project."),
            "job": CommandEntry(f"{OBJECTS}:list_job", "List jobs, newest first."),
            "file": CommandEntry(f"{FILES}:list_file", "List the files of a folder."),
        },
    ),
    "inspect": GroupEntry(
        "Show one commit or job.",
        "pdk inspect job train@<id>",
        {
            "commit": CommandEntry(f"{OBJECTS}:inspect_commit", "Show one commit."),
            "job": CommandEntry(f"{OBJECTS}:inspect_job", "Show one job, with the reason when it failed."),
        },
    ),
    "wait": GroupEntry(
        "Wait for a commit or job to end.",
        "pdk wait commit data@master",
        {
            "commit": CommandEntry(
                f"{OBJECTS}:wait_commit",
                "Wait until a commit is finished, then show it; exit status 1 when it ended in an error.",
            ),
            "job": CommandEntry(
                f"{OBJECTS}:wait_job", "Wait until a job has ended, then show it; exit status 1 unless it succeeded."
            ),
        },
    ),
    "delete": GroupEntry(
        "Delete a file, repo, pipeline or project.",
        "pdk delete file data@master:a.csv",
        {
            "project": CommandEntry(
                "pdk.cli.projects:delete_project",
                "Delete a project; with --all, everything in it on the three systems.",
            ),
            "file": CommandEntry(f"{FILES}:delete_file", "Delete a file as one commit; earlier commits keep it."),
            "repo": CommandEntry(f"{OBJECTS}:delete_repo", "Delete a repo with all its commits."),
            "pipeline": CommandEntry(f"{OBJECTS}:delete_pipeline", "Delete a pipeline with its jobs and output."),
        },
    ),
    "image": GroupEntry(
        "Say what runs in place of an image.",
        "pdk image set x/pdk:train-v1 container/train",
        {
            "list": CommandEntry(
                "pdk.cli.images:list_images",
                "List what stands in for images; an image that is not listed runs with this machine's own tools.",
            ),
            "set": CommandEntry(
                "pdk.cli.images:set_image",
                "Let a folder stand in for an image, named as closely as needed: registry/name:tag, name:tag, or name.",
            ),
            "delete": CommandEntry("pdk.cli.images:delete_image", "Forget what `pdk image set` said of an image."),
        },
    ),
    "start": GroupEntry(
        "Start a stopped pipeline.",
        "pdk start pipeline train",
        {"pipeline": CommandEntry(f"{OBJECTS}:start_pipeline", "Start a stopped pipeline.")},
    ),
    "stop": GroupEntry(
        "Stop a pipeline or job.",
        "pdk stop job train@<id>",
        {
            "pipeline": CommandEntry(
                f"{OBJECTS}:stop_pipeline", "Stop a pipeline: its jobs end, new commits start none."
            ),
            "job": CommandEntry(f"{OBJECTS}:stop_job", "Stop a job; its output commit ends with an error."),
        },
    ),
}
