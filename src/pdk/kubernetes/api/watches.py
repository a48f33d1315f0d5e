"""Watches: a stream of JSON events from a resourceVersion on, with selectors, Tables, bookmarks and a deadline.

Mirrors kube-apiserver's watch handler and watch cache: without a resourceVersion (or with 0) the present objects come
first as ADDED; one too old gets a single ERROR event with a 410 Status.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pdk.kubernetes.api.http import Request, encode, stream_response
from pdk.kubernetes.api.objects import ObjectHandlers
from pdk.kubernetes.api.routes import Target
from pdk.kubernetes.api.status import failure
from pdk.kubernetes.api.tables import Form, View, show, show_list
from pdk.kubernetes.api.watch_hub import Change, Subscription, WatchHub
from pdk.kubernetes.errors import BadRequest, Expired, ObjectError
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import WatchEvent, WatchEventType
from pdk.kubernetes.store.selectors import Match, compile_selectors
from pdk.web.answers import Stream
from pdk.web.routing import route

# How long a watch lasts when the client does not say.
DEFAULT_SECONDS = 3600
BOOKMARK_SECONDS = 30.0
# Changes read from the history at a time.
PAGE = 1000
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Watch:
    """What one client watches, and how it wants to see it."""

    target: Target
    view: View
    matches: Match | None
    # 0: from now, after the objects of now.
    revision: int
    seconds: float
    bookmarks: bool
    # The client asked for the objects of now and for a bookmark after the last of them (streaming list).
    initial_events: bool
    # What the encoding of an event depends on besides the event.
    selection: object


class Watches:
    """Opens watches."""

    def __init__(self, store: ObjectStore, hub: WatchHub) -> None:
        self._store = store
        self._hub = hub

    @route("WATCH", "{collection}")
    @route("WATCH", "{collection}/{name}")
    def watch(self, target: Target, request: Request) -> Stream:
        """Answer a stream of events. Raises BadRequest, TooManyRequests before it starts."""
        self._hub.check_room()
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}"
        view = ObjectHandlers.view(request)
        seconds = request.number("timeoutSeconds")
        watch = Watch(
            target=target,
            view=view,
            matches=compile_selectors(target.resource, labels, fields),
            revision=_revision(request.query.get("resourceVersion", "")),
            seconds=DEFAULT_SECONDS if seconds is None or seconds <= 0 else seconds,
            bookmarks=request.flag("allowWatchBookmarks"),
            initial_events=request.flag("sendInitialEvents"),
            selection=(target.resource, view, labels, fields),
        )
        return stream_response(self._events(watch))

    async def _events(self, watch: Watch) -> AsyncGenerator[bytes, None]:
        deadline = time.monotonic() + watch.seconds
        with self._hub.subscribe(watch.target.resource.stored, watch.target.namespace) as subscription:
            try:
                revision = watch.revision
                if not revision or watch.initial_events:
                    objects, revision = await asyncio.to_thread(self._present, watch)
                    for obj in objects:
                        yield self._encode(watch, WatchEventType.ADDED, obj)
                    if watch.initial_events:
                        yield self._bookmark(watch, revision, initial=True)
                while backlog := await asyncio.to_thread(self._backlog, watch, revision):
                    for event in backlog:
                        yield self._line(watch, Change(event))
                    revision = backlog[-1].revision
                async for line in self._live(watch, subscription, revision, deadline):
                    yield line
            except ObjectError as error:
                yield encode({"type": WatchEventType.ERROR, "object": failure(error)}) + b"\n"

    def _present(self, watch: Watch) -> tuple[list[JsonObject], int]:
        objects, revision = self._store.list(watch.target.resource.stored, watch.target.namespace or None)
        return [obj for obj in objects if watch.matches is None or watch.matches(obj)], revision

    def _backlog(self, watch: Watch, revision: int) -> list[WatchEvent]:
        return self._store.changes_since(revision, watch.target.resource.stored, watch.target.namespace or None, PAGE)

    async def _live(
        self, watch: Watch, subscription: Subscription, revision: int, deadline: float
    ) -> AsyncGenerator[bytes, None]:
        """Yield the changes after `revision` as they come, until the deadline. Raises Expired when some were missed."""
        while (left := deadline - time.monotonic()) > 0:
            try:
                change = await asyncio.wait_for(subscription.queue.get(), min(left, BOOKMARK_SECONDS))
            except TimeoutError:
                revision = max(revision, self._hub.revision)
                if watch.bookmarks:
                    yield self._bookmark(watch, revision)
                continue
            if change is None:
                if subscription.overflowed:
                    raise Expired(revision, self._hub.revision)
                return
            # What the history already gave is queued once more.
            if change.event.revision > revision:
                yield self._line(watch, change)

    def _line(self, watch: Watch, change: Change) -> bytes:
        """Return the event of a change, empty when it is not in the selection before or after."""
        if watch.selection not in change.encoded:
            change.encoded[watch.selection] = self._select(watch, change.event)
        return change.encoded[watch.selection]

    def _select(self, watch: Watch, event: WatchEvent) -> bytes:
        matches = watch.matches
        if matches is None:
            return self._encode(watch, event.type, event.object)
        now = matches(event.object)
        if event.type != WatchEventType.MODIFIED or event.previous is None:
            return self._encode(watch, event.type, event.object) if now else b""
        before = matches(event.previous)
        if now:
            return self._encode(watch, WatchEventType.MODIFIED if before else WatchEventType.ADDED, event.object)
        if before:
            # It left the selection: to this client it is gone, and looks as it did when it was last in it.
            metadata = event.previous["metadata"] | {"resourceVersion": str(event.revision)}
            return self._encode(watch, WatchEventType.DELETED, event.previous | {"metadata": metadata})
        return b""

    def _encode(self, watch: Watch, event_type: str, obj: JsonObject) -> bytes:
        return encode({"type": event_type, "object": show(watch.view, watch.target.resource, obj)}) + b"\n"

    def _bookmark(self, watch: Watch, revision: int, initial: bool = False) -> bytes:
        metadata: JsonObject = {"resourceVersion": str(revision)}
        if initial:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        resource = watch.target.resource
        if watch.view.form is Form.TABLE:
            obj = show_list(watch.view, resource, [], revision) | {"metadata": metadata}
        elif watch.view.form is Form.METADATA:
            obj = {"kind": Form.METADATA, "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        else:
            obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return encode({"type": WatchEventType.BOOKMARK, "object": obj}) + b"\n"


def _revision(text: str) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest(f'resourceVersion: Invalid value: "{text[:40]}": strconv.ParseUint: parsing: invalid syntax')
    return int(text)
