"""Routes of who is who: the master, logins, users."""

from typing import Any

from pdk.determined.api import encode
from pdk.determined.api.call import Call
from pdk.determined.errors import BadRequest
from pdk.determined.master.master import Master
from pdk.determined.master.paging import paged
from pdk.determined.master.settings import VERSION
from pdk.determined.master.users import UserPatch, client_hash, matching

JSON = dict[str, Any]


def info(master: Master, call: Call) -> JSON:
    """GET /info: what every command line asks first."""
    names = master.cluster.names
    return {
        "version": VERSION,
        "cluster_id": names.cluster_id,
        "master_id": names.master_id,
        "cluster_name": names.cluster_name,
        "telemetry": {"enabled": False},
    }


def get_master(master: Master, call: Call) -> JSON:
    """v1GetMasterResponse."""
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


def get_telemetry(master: Master, call: Call) -> JSON:
    """v1GetTelemetryResponse: nothing is ever sent anywhere."""
    return {"enabled": False, "segmentKey": ""}


def login(master: Master, call: Call) -> JSON:
    """v1LoginResponse."""
    fields = call.fields
    token, user = master.users.log_in(
        fields.required("username"), fields.text("password") or "", fields.flag("isHashed") or False
    )
    return {"token": token, "user": encode.user(user)}


def logout(master: Master, call: Call) -> JSON:
    """End the caller's session."""
    master.users.log_out(call.token)
    return {}


def get_me(master: Master, call: Call) -> JSON:
    """v1GetMeResponse; clients check a cached token with it."""
    return {"user": encode.user(call.caller.user)}


def get_users(master: Master, call: Call) -> JSON:
    """v1GetUsersResponse."""
    users = matching(master.users.list_users(), call.flag("active"), call.text("name"))
    return encode.listed("users", paged(users, call.page()), encode.user)


def get_user(master: Master, call: Call) -> JSON:
    """v1GetUserResponse."""
    return {"user": encode.user(master.users.get(call.id("userId")))}


def get_user_by_username(master: Master, call: Call) -> JSON:
    """v1GetUserByUsernameResponse."""
    return {"user": encode.user(master.users.get_named(call.path["username"]))}


def post_user(master: Master, call: Call) -> JSON:
    """v1PostUserResponse; only for admins."""
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


def patch_user(master: Master, call: Call) -> JSON:
    """v1PatchUserResponse."""
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
    return {"user": encode.user(master.users.patch(call.caller, call.id("userId"), patch))}


def set_password(master: Master, call: Call) -> JSON:
    """v1SetUserPasswordResponse; the body is the hashed password itself, a JSON string."""
    if not isinstance(call.body, str):
        raise BadRequest("the request body must be the password as a JSON string")
    patch = UserPatch(password=call.body)
    return {"user": encode.user(master.users.patch(call.caller, call.id("userId"), patch))}
