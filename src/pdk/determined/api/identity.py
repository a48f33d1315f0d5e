"""Routes of who is who: the master, logins, users."""

from pdk.determined.api import encode
from pdk.determined.api.call import RestCall
from pdk.determined.errors import InvalidRequest
from pdk.determined.master.master import Master
from pdk.determined.master.paging import paged
from pdk.determined.master.settings import VERSION
from pdk.determined.master.users import UserPatch, client_hash, matching
from pdk.determined.store.records import JSON, UserId
from pdk.web.routing import route


@route("GET", "/info", about="version and ids", public=True)
def info(master: Master, call: RestCall) -> JSON:
    """GET /info: what every command line asks first."""
    names = master.cluster.names
    return {
        "version": VERSION,
        "cluster_id": names.cluster_id,
        "master_id": names.master_id,
        "cluster_name": names.cluster_name,
        "telemetry": {"enabled": False},
    }


@route("GET", "/api/v1/master", about="version, ids, features", public=True)
def get_master(master: Master, call: RestCall) -> JSON:
    """Return v1GetMasterResponse."""
    names = master.cluster.names
    return {
        "version": VERSION,
        "masterId": names.master_id,
        "clusterId": names.cluster_id,
        "clusterName": names.cluster_name,
        "telemetryEnabled": False,
        "ssoProviders": [],
        "externalLoginUri": "",
        "externalLogoutUri": "",
        "branding": "determined",
        "rbacEnabled": False,
        "product": "PRODUCT_UNSPECIFIED",
        "featureSwitches": [],
        "userManagementEnabled": True,
        "strictJobQueueControl": False,
        "hasCustomLogo": False,
        "clusterMessage": None,
    }


@route("GET", "/api/v1/master/telemetry", about="always off", public=True)
def get_telemetry(master: Master, call: RestCall) -> JSON:
    """Return v1GetTelemetryResponse: nothing is ever sent anywhere."""
    return {"enabled": False, "segmentKey": ""}


@route("POST", "/api/v1/auth/login", about="log in with name and password", public=True)
def login(master: Master, call: RestCall) -> JSON:
    """Return v1LoginResponse."""
    fields = call.fields
    token, user = master.users.log_in(
        fields.required("username"), fields.text("password") or "", fields.flag("isHashed") or False
    )
    return {"token": token, "user": encode.user(user)}


@route("POST", "/api/v1/auth/logout", about="end the session")
def logout(master: Master, call: RestCall) -> None:
    """End the caller's session."""
    master.users.log_out(call.token)


@route("GET", "/api/v1/auth/user", about="the caller")
@route("GET", "/api/v1/me", about="the caller")
def get_me(master: Master, call: RestCall) -> JSON:
    """Return v1GetMeResponse; clients check a cached token with it."""
    return {"user": encode.user(call.caller.user)}


@route("GET", "/api/v1/users", about="list users")
def get_users(master: Master, call: RestCall) -> JSON:
    """Return v1GetUsersResponse."""
    users = matching(master.users.list_users(), call.flag("active"), call.text("name"))
    return encode.listed("users", paged(users, call.page()), encode.user)


@route("GET", "/api/v1/users/{userId}", about="one user")
def get_user(master: Master, call: RestCall) -> JSON:
    """Return v1GetUserResponse."""
    return {"user": encode.user(master.users.get(call.id("userId", UserId)))}


@route("GET", "/api/v1/users/{username}/by-username", about="one user by name")
def get_user_by_username(master: Master, call: RestCall) -> JSON:
    """Return v1GetUserByUsernameResponse."""
    return {"user": encode.user(master.users.get_named(call.path["username"]))}


@route("POST", "/api/v1/users", about="create a user", partial="no agent user groups")
def post_user(master: Master, call: RestCall) -> JSON:
    """Return v1PostUserResponse; only for admins."""
    fields = call.fields
    user = fields.fields("user")
    created = master.users.create(
        call.caller,
        user.required("username"),
        user.flag("admin") or False,
        fields.text("password") or "",
        fields.flag("isHashed") or False,
    )
    return {"user": encode.user(created)}


@route("PATCH", "/api/v1/users/{userId}", about="change a user", partial="no agent user groups")
def patch_user(master: Master, call: RestCall) -> JSON:
    """Return v1PatchUserResponse."""
    fields = call.fields
    password = fields.text("password")
    if password is not None and not fields.flag("isHashed"):
        password = client_hash(password)
    patch = UserPatch(
        username=fields.text("username"),
        display_name=fields.text("displayName"),
        admin=fields.flag("admin"),
        active=fields.flag("active"),
        password=password,
    )
    return {"user": encode.user(master.users.patch(call.caller, call.id("userId", UserId), patch))}


@route("POST", "/api/v1/users/{userId}/password", about="set a password")
def set_password(master: Master, call: RestCall) -> JSON:
    """Return v1SetUserPasswordResponse; the body is the hashed password itself, a JSON string."""
    if not isinstance(call.body, str):
        raise InvalidRequest("the request body must be the password as a JSON string")
    patch = UserPatch(password=call.body)
    return {"user": encode.user(master.users.patch(call.caller, call.id("userId", UserId), patch))}
