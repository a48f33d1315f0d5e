"""`pfs_v2.API`: projects, repos, branches, commits and commit sets (files: `files.py`). Only translates.

Mirrors `src/server/pfs/server/api_server.go` of pachd.
"""

from collections.abc import Iterator

from pachyderm_sdk.api import pfs

from pdk.base.errors import InvalidArgument, Unimplemented
from pdk.pachyderm.api.fields import is_empty, time_of
from pdk.pachyderm.api.messages import (
    Messages,
    branch_of,
    commit_of,
    project_of,
    repo_of,
    require,
    state_of,
)
from pdk.pachyderm.api.server import RpcCall, rpc
from pdk.pachyderm.api.wire import Wire
from pdk.pachyderm.pfs import branches, commit_sets, commits, repos
from pdk.pachyderm.pfs.engine import Pfs
from pdk.pachyderm.pfs.types import CommitInfo, CommitState
from pdk.pachyderm.values import Commit, CommitSetId


class PfsService:
    """The handlers of projects, repos, branches, commits and commit sets."""

    service = "pfs_v2.API"

    def __init__(self, wire: Wire, pfs: Pfs) -> None:
        self._wire = wire
        self._pfs = pfs
        self._messages = Messages(wire)

    # Projects

    @rpc("CreateProject")
    def create_project(self, request: pfs.CreateProjectRequest, call: RpcCall) -> None:
        """Make or describe a project."""
        require(request, "project")
        with self._pfs.transaction() as tx:
            repos.create_project(tx, request.project.name, request.description, request.update)

    @rpc("InspectProject")
    def inspect_project(self, request: pfs.InspectProjectRequest, call: RpcCall) -> pfs.ProjectInfo:
        """Describe a project."""
        return self._messages.project_info(self._pfs.inspect_project(project_of(request.project)))

    @rpc("InspectProjectV2")
    def inspect_project_v2(self, request: pfs.InspectProjectV2Request, call: RpcCall) -> pfs.InspectProjectV2Response:
        """Describe a project with its pipeline defaults, which are none."""
        info = self._messages.project_info(self._pfs.inspect_project(project_of(request.project)))
        return self._wire[pfs.InspectProjectV2Response](info=info, defaults_json="{}")

    @rpc("ListProject")
    def list_project(self, request: pfs.ListProjectRequest, call: RpcCall) -> Iterator[pfs.ProjectInfo]:
        """Describe all projects."""
        return map(self._messages.project_info, self._pfs.list_project())

    @rpc("DeleteProject")
    def delete_project(self, request: pfs.DeleteProjectRequest, call: RpcCall) -> None:
        """Remove a project."""
        require(request, "project")
        with self._pfs.transaction() as tx:
            repos.delete_project(tx, project_of(request.project), request.force)

    # Repos

    @rpc("CreateRepo")
    def create_repo(self, request: pfs.CreateRepoRequest, call: RpcCall) -> None:
        """Make or describe a repo."""
        require(request, "repo")
        with self._pfs.transaction() as tx:
            repos.create_repo(tx, repo_of(request.repo), request.description, request.update)

    @rpc("InspectRepo")
    def inspect_repo(self, request: pfs.InspectRepoRequest, call: RpcCall) -> pfs.RepoInfo:
        """Describe a repo."""
        require(request, "repo")
        return self._messages.repo_info(self._pfs.inspect_repo(repo_of(request.repo)))

    @rpc("ListRepo")
    def list_repo(self, request: pfs.ListRepoRequest, call: RpcCall) -> Iterator[pfs.RepoInfo]:
        """Describe the repos of a type in some projects, perhaps one page of them."""
        infos = self._pfs.list_repo(request.type, [project_of(project) for project in request.projects])
        if request.page.page_size:
            start = request.page.page_size * request.page.page_index
            infos = infos[start : start + request.page.page_size]
        return map(self._messages.repo_info, infos)

    @rpc("DeleteRepo")
    def delete_repo(self, request: pfs.DeleteRepoRequest, call: RpcCall) -> pfs.DeleteRepoResponse:
        """Remove a repo; tells whether it was there."""
        require(request, "repo")
        with self._pfs.transaction() as tx:
            deleted = repos.delete_repo(tx, repo_of(request.repo), request.force)
        return self._wire[pfs.DeleteRepoResponse](deleted=deleted)

    @rpc("DeleteRepos")
    def delete_repos(self, request: pfs.DeleteReposRequest, call: RpcCall) -> pfs.DeleteReposResponse:
        """Remove the user repos of some projects (or all) that no pipeline writes to; tells which."""
        projects = [project_of(project) for project in request.projects]
        if not projects and not request.all:
            raise InvalidArgument("validate request: projects must be specified, or all")
        with self._pfs.transaction() as tx:
            deleted = repos.delete_repos(tx, projects, request.force)
        return self._wire[pfs.DeleteReposResponse](repos=[self._messages.repo(repo) for repo in deleted])

    # Branches

    @rpc("CreateBranch")
    def create_branch(self, request: pfs.CreateBranchRequest, call: RpcCall) -> None:
        """Make a branch, move it, or change what it comes from."""
        require(request, "branch")
        if not is_empty(request.trigger):
            raise Unimplemented("branch triggers are not implemented")
        head = self._optional_commit(request, "head")
        with self._pfs.transaction() as tx:
            provenance = [branch_of(upstream) for upstream in request.provenance]
            branches.create_branch(tx, branch_of(request.branch), head, provenance)

    @rpc("InspectBranch")
    def inspect_branch(self, request: pfs.InspectBranchRequest, call: RpcCall) -> pfs.BranchInfo:
        """Describe a branch."""
        require(request, "branch")
        return self._messages.branch_info(self._pfs.inspect_branch(branch_of(request.branch)))

    @rpc("ListBranch")
    def list_branch(self, request: pfs.ListBranchRequest, call: RpcCall) -> Iterator[pfs.BranchInfo]:
        """Describe the branches of a repo, or of all."""
        repo = repo_of(request.repo) if request.repo.name else None
        return map(self._messages.branch_info, self._pfs.list_branch(repo, request.reverse))

    @rpc("DeleteBranch")
    def delete_branch(self, request: pfs.DeleteBranchRequest, call: RpcCall) -> None:
        """Remove a branch."""
        require(request, "branch")
        with self._pfs.transaction() as tx:
            branches.delete_branch(tx, branch_of(request.branch), request.force)

    # Commits

    @rpc("StartCommit")
    def start_commit(self, request: pfs.StartCommitRequest, call: RpcCall) -> pfs.Commit:
        """Open a commit."""
        require(request, "branch")
        parent = self._optional_commit(request, "parent")
        with self._pfs.transaction() as tx:
            commit = commits.start_commit(tx, branch_of(request.branch), parent, request.description)
        return self._messages.commit(commit)

    @rpc("FinishCommit")
    def finish_commit(self, request: pfs.FinishCommitRequest, call: RpcCall) -> None:
        """Close a commit for writing."""
        commit = self._commit(request)
        with self._pfs.transaction() as tx:
            commits.finish_commit(tx, commit, request.error, request.force, request.description)

    @rpc("ClearCommit")
    def clear_commit(self, request: pfs.ClearCommitRequest, call: RpcCall) -> None:
        """Undo what was written to an open commit."""
        commit = self._commit(request)
        with self._pfs.transaction() as tx:
            commits.clear_commit(tx, commit)

    @rpc("InspectCommit")
    def inspect_commit(self, request: pfs.InspectCommitRequest, call: RpcCall) -> pfs.CommitInfo:
        """Describe a commit, perhaps once it is in some state."""
        wanted = state_of(request.wait)
        return self._messages.commit_info(self._pfs.wait_commit(self._commit(request), wanted, None, call.cancelled))

    @rpc("ListCommit")
    def list_commit(self, request: pfs.ListCommitRequest, call: RpcCall) -> Iterator[pfs.CommitInfo]:
        """Describe commits of a repo or of all, or the ancestors of one."""
        newest, oldest = self._optional_commit(request, "to"), self._optional_commit(request, "from")
        repo = repo_of(request.repo) if request.repo.name else None
        if request.reverse and (newest or oldest):
            raise InvalidArgument("cannot use reverse with from or to commits")
        before = time_of(request, "started_time")
        count = 0
        for info in self._pfs.list_commit(repo, newest, oldest, request.reverse):
            if not _is_of_kind(info, request.origin_kind):
                continue
            if before is not None and (info.started <= before if request.reverse else info.started >= before):
                continue
            yield self._messages.commit_info(info)
            count += 1
            if count == request.number:
                return

    @rpc("SubscribeCommit")
    def subscribe_commit(self, request: pfs.SubscribeCommitRequest, call: RpcCall) -> Iterator[pfs.CommitInfo]:
        """Describe the commits of a repo as they come; never ends by itself."""
        require(request, "repo")
        state = state_of(request.state) or CommitState.STARTED
        after = self._optional_commit(request, "from")
        infos = self._pfs.subscribe_commit(repo_of(request.repo), request.branch, after, state, call.cancelled)
        return (self._messages.commit_info(info) for info in infos if _is_of_kind(info, request.origin_kind))

    # Commit sets

    @rpc("InspectCommitSet")
    def inspect_commit_set(self, request: pfs.InspectCommitSetRequest, call: RpcCall) -> Iterator[pfs.CommitInfo]:
        """Describe the commits of a set and what they come from, perhaps each once it is finished."""
        state = CommitState.FINISHED if request.wait else CommitState.UNKNOWN
        for info in self._pfs.commit_set(_set_id(request)):
            yield self._messages.commit_info(self._pfs.wait_commit(info.commit, state, None, call.cancelled))

    @rpc("ListCommitSet")
    def list_commit_set(self, request: pfs.ListCommitSetRequest, call: RpcCall) -> Iterator[pfs.CommitSetInfo]:
        """Describe commit sets, newest first."""
        for set_id, infos in self._pfs.list_commit_set(request.project.name):
            commit_set = self._wire[pfs.CommitSet](id=set_id)
            commits = [self._messages.commit_info(info) for info in infos]
            yield self._wire[pfs.CommitSetInfo](commit_set=commit_set, commits=commits)

    @rpc("SquashCommitSet")
    def squash_commit_set(self, request: pfs.SquashCommitSetRequest, call: RpcCall) -> None:
        """Remove the commits of a set; their data stays in the children."""
        with self._pfs.transaction() as tx:
            commit_sets.squash_commit_set(tx, _set_id(request))

    @rpc("DropCommitSet")
    def drop_commit_set(self, request: pfs.DropCommitSetRequest, call: RpcCall) -> None:
        """Remove the commits of a set and their data."""
        with self._pfs.transaction() as tx:
            commit_sets.drop_commit_set(tx, _set_id(request))

    @rpc("SquashCommit")
    def squash_commit(self, request: pfs.SquashCommitRequest, call: RpcCall) -> pfs.SquashCommitResponse:
        """Remove a commit; its data stays in its children."""
        commit = self._commit(request)
        with self._pfs.transaction() as tx:
            commit_sets.squash_commit(tx, commit, request.recursive)
        return self._wire[pfs.SquashCommitResponse]()

    @rpc("DropCommit")
    def drop_commit(self, request: pfs.DropCommitRequest, call: RpcCall) -> pfs.DropCommitResponse:
        """Remove a commit and its data."""
        commit = self._commit(request)
        with self._pfs.transaction() as tx:
            commit_sets.drop_commit(tx, commit, request.recursive)
        return self._wire[pfs.DropCommitResponse]()

    def _commit(self, request: object, name: str = "commit") -> Commit:
        require(request, name)
        return self._pfs.resolve(commit_of(getattr(request, name)))

    def _optional_commit(self, request: object, name: str) -> Commit | None:
        """Return the commit in a field that clients leave out, or fill with nothing but a repo."""
        message = getattr(request, name)
        return self._commit(request, name) if message.id or message.branch.name else None


def _set_id(
    request: pfs.InspectCommitSetRequest | pfs.SquashCommitSetRequest | pfs.DropCommitSetRequest,
) -> CommitSetId:
    require(request, "commit_set")
    return CommitSetId(request.commit_set.id)


def _is_of_kind(info: CommitInfo, kind: int) -> bool:
    return not kind or info.origin == kind
