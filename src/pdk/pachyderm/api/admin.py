"""`admin_v2.API`, `versionpb_v2.API`, the health service, and auth's answer that it is off.

What every client asks first. Mirrors `server/admin/server`, `version` and `server/auth` of pachd (auth.go: not
activated).
"""

from betterproto.lib.google.protobuf import Empty
from pachyderm_sdk.api import admin, version

from pdk.base.errors import Unimplemented
from pdk.pachyderm.api import health
from pdk.pachyderm.api.server import RpcCall, rpc
from pdk.pachyderm.api.wire import Wire

# The Pachyderm release whose protocol this is.
VERSION = (2, 12, 2)

AUTH_OFF = "the auth service is not activated"


class AdminService:
    """Answers for the server as a whole; `cluster_id` is stable across restarts."""

    service = "admin_v2.API"

    def __init__(self, wire: Wire, cluster_id: str) -> None:
        self._wire = wire
        self._cluster_id = cluster_id

    @rpc("InspectCluster")
    def inspect_cluster(self, request: admin.InspectClusterRequest, call: RpcCall) -> admin.ClusterInfo:
        """Answer who we are; `warnings_ok` keeps clients from warning that they got no warnings."""
        return self._wire[admin.ClusterInfo](id=self._cluster_id, deployment_id=self._cluster_id, warnings_ok=True)

    @rpc("GetVersion", "versionpb_v2.API")
    def get_version(self, request: Empty, call: RpcCall) -> version.Version:
        """Answer the version we are compatible with."""
        major, minor, micro = VERSION
        return self._wire[version.Version](major=major, minor=minor, micro=micro)

    @rpc("*", "auth_v2.API", refuses=True)
    def refuse_auth(self, request: object, call: RpcCall) -> object:
        """Raise what clients take for "no auth here"."""
        raise Unimplemented(AUTH_OFF)

    @rpc("Check", "grpc.health.v1.Health")
    def check_health(self, request: health.HealthCheckRequest, call: RpcCall) -> health.HealthCheckResponse:
        """Answer that we serve."""
        return self._wire[health.HealthCheckResponse](status=health.ServingStatus.SERVING)
