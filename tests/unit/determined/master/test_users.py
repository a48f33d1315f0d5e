"""Passwords, tokens, and who may change whom."""

import pytest

from pdk.determined import errors
from pdk.determined.master.users import (
    Caller,
    UserPatch,
    client_hash,
    matching,
    password_matches,
    stored_password,
    token_hash,
)


@pytest.fixture
def admin(bench):
    return Caller(bench.users.get_named("admin"))


def test_what_the_client_sends_is_what_determined_sends():
    from determined.common.api.authentication import salt_and_hash  # noqa: PLC0415 - heavy

    assert client_hash("Pass word1") == salt_and_hash("Pass word1")
    assert client_hash("") == salt_and_hash("") == ""


def test_stored_passwords_are_salted():
    stored = stored_password("abc")
    assert stored != stored_password("abc")
    assert "abc" not in stored
    assert password_matches("abc", stored)
    assert not password_matches("abd", stored)
    assert password_matches("", stored_password(""))
    assert not password_matches("x", stored_password(""))


def test_only_hashes_of_tokens_are_stored(bench):
    token, user = bench.users.log_in("determined", "", hashed=True)
    assert user.username == "determined"
    with bench.db.read() as conn:
        dump = "\n".join(conn.iterdump())
    assert token not in dump
    assert token_hash(token) in dump


def test_tokens_expire(bench):
    token, _ = bench.users.log_in("determined", "", hashed=False)
    assert bench.users.authenticate(token).allocation_id is None
    with bench.db.transaction() as conn:
        conn.execute("UPDATE sessions SET expires_at = '2020-01-01T00:00:00.000000Z'")
    with pytest.raises(errors.NotLoggedIn):
        bench.users.authenticate(token)


def test_wrong_names_and_passwords_look_the_same(bench):
    for name, password in (("nobody", ""), ("determined", "guess")):
        with pytest.raises(errors.WrongPassword, match=r"^invalid credentials$"):
            bench.users.log_in(name, password, hashed=False)


def test_users_change_only_themselves(bench, admin):
    me = bench.caller.user.id
    bench.users.patch(bench.caller, me, UserPatch(display_name="Me", password=client_hash("Secret123")))
    bench.users.log_in("determined", "Secret123", hashed=False)
    for patch in (UserPatch(admin=True), UserPatch(username="root"), UserPatch(active=True)):
        with pytest.raises(errors.NotAllowed):
            bench.users.patch(bench.caller, me, patch)
    with pytest.raises(errors.NotAllowed):
        bench.users.patch(bench.caller, admin.user.id, UserPatch(password=""))
    assert bench.users.patch(admin, me, UserPatch(username="renamed")).username == "renamed"
    with pytest.raises(errors.NameTaken):
        bench.users.patch(admin, me, UserPatch(username="ADMIN"))


def test_names(bench, admin):
    for name in ("", "  ", "x" * 81):
        with pytest.raises(errors.InvalidRequest):
            bench.users.create(admin, name, False, "", True)
    with pytest.raises(errors.NameTaken):
        bench.users.create(admin, "Determined", False, "", True)
    with pytest.raises(errors.NoSuchThing):
        bench.users.get(99)


def test_filter(bench):
    users = bench.users.list_users()
    assert [u.username for u in matching(users, True, "ADM")] == ["admin"]
    assert matching(users, False, "") == []
