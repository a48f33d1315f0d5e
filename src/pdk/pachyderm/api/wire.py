"""The messages and methods of Pachyderm's protocol, derived at start from the installed `pachyderm_sdk`.

The SDK holds betterproto classes: they lack field presence, strict JSON and speed. From their field numbers and types
this module builds descriptors in a private pool, and so gets ordinary protobuf (upb) messages for the same bytes. Used
by every servicer of `api/`; nothing of it is known outside `api/`.

    wire = Wire()
    info = wire[pfs.CommitInfo](description="x")            # the protobuf twin of the SDK's class
    set_time(info, "started", moment)
    wire.rpcs["pfs_v2.API", "InspectCommit"].request        # what a method takes

To the type checker a twin is the SDK's class: it knows every message and its fields. Where protobuf differs from
betterproto (presence, oneofs, times, wrappers, a field named `from`) only the functions of `fields.py` may be used.
"""

import dataclasses
import sys
import typing
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import betterproto
from betterproto.lib.google.protobuf import Empty
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from pachyderm_sdk.api import admin, auth, metadata, pfs, pps, taskapi, transaction, version

from pdk.pachyderm.api import health

# Module -> protobuf package, each after those it uses.
PACKAGES = {
    taskapi: "taskapi",
    auth: "auth_v2",
    pfs: "pfs_v2",
    pps: "pps_v2",
    version: "versionpb_v2",
    admin: "admin_v2",
    transaction: "transaction_v2",
    metadata: "metadata",
    health: "grpc.health.v1",
}

# Fields of the messages read from JSON whose name betterproto changed beyond a trailing underscore.
_ORIGINAL_NAMES = {("pps_v2.Egress", "url"): "URL"}

# Methods whose request is neither `<Method>Request` nor Empty.
_REQUESTS = {
    "GetFileTAR": "GetFileRequest",
    "CreateFileSet": "ModifyFileRequest",
    "Check": "HealthCheckRequest",
    "Watch": "HealthCheckRequest",
}

_WELL_KNOWN = (any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)
_WRAPPERS = {
    "bool": "BoolValue", "int32": "Int32Value", "int64": "Int64Value", "uint32": "UInt32Value", "uint64": "UInt64Value",
    "float": "FloatValue", "double": "DoubleValue", "string": "StringValue", "bytes": "BytesValue",
}  # fmt: skip

Field = descriptor_pb2.FieldDescriptorProto
M = typing.TypeVar("M")


@dataclasses.dataclass(frozen=True)
class Rpc:
    """One method of a service: the classes of its messages and which side streams."""

    service: str
    method: str
    request: Any
    response: Any
    request_streams: bool
    response_streams: bool


class Wire:
    """All messages (`wire[pfs.CommitInfo]`) and methods (`wire.rpcs`) of the protocol."""

    def __init__(self) -> None:
        """Derive everything; takes some tens of milliseconds beside the import of the SDK."""
        self.pool = descriptor_pool.DescriptorPool()
        for well_known in _WELL_KNOWN:
            self.pool.AddSerializedFile(well_known.DESCRIPTOR.serialized_pb)
        for module, package in PACKAGES.items():
            self.pool.AddSerializedFile(_FileBuilder(module, package).build().SerializeToString())
        self._twins: dict[type, Any] = {}
        self.rpcs = {(rpc.service, rpc.method): rpc for rpc in self._list_rpcs()}

    def __getitem__(self, cls: type[M]) -> type[M]:
        """Return the protobuf class for a message class of the SDK (or of betterproto's google.protobuf)."""
        twin = self._twins.get(cls)
        if twin is None:
            twin = self._twins[cls] = message_factory.GetMessageClass(self.descriptor(cls))
        return typing.cast("type[M]", twin)

    def descriptor(self, cls: type) -> Any:
        """Return what protobuf knows of such a class: its fields."""
        return self.pool.FindMessageTypeByName(_full_name(cls))

    def _list_rpcs(self) -> Iterator[Rpc]:
        for module in PACKAGES:
            stub = getattr(module, "ApiStub", None)
            if stub is not None:
                recorder = _Recorder()
                stub(recorder)
                for path, kind, response in recorder.methods:
                    yield self._rpc(module, path, kind, response)

    def _rpc(self, module: ModuleType, path: str, kind: str, response: type) -> Rpc:
        _, service, method = path.split("/")
        request = getattr(module, _REQUESTS.get(method, f"{method}Request"), Empty)
        requests, _, responses = kind.partition("_")
        return Rpc(service, method, self[request], self[response], requests == "stream", responses == "stream")


class _Recorder:
    """Stands in for a channel while an SDK stub registers its methods: the stub is the only list of them there is."""

    def __init__(self) -> None:
        self.methods: list[tuple[str, str, type]] = []

    def __getattr__(self, kind: str) -> Any:
        def register(path: str, request_serializer: object, response_deserializer: Any) -> None:
            self.methods.append((path, kind, response_deserializer.__self__))

        return register


def _enum_path(name: str) -> str:
    """Return where an enum lies in its package: in a message of its own.

    Names of enum values are shared by a whole scope, and betterproto has flattened the nesting that kept them apart.
    """
    return f"{name}Scope.{name}"


def _full_name(cls: type) -> str:
    if cls.__module__.startswith("betterproto.lib."):
        return f"google.protobuf.{cls.__name__}"
    name = _enum_path(cls.__name__) if issubclass(cls, betterproto.Enum) else cls.__name__
    return f"{PACKAGES[sys.modules[cls.__module__]]}.{name}"


class _FileBuilder:
    """Turns the classes of one SDK module into a .proto file in descriptor form."""

    def __init__(self, module: ModuleType, package: str) -> None:
        self._module = module
        self._package = package
        self._uses: set[str] = set()

    def build(self) -> descriptor_pb2.FileDescriptorProto:
        file = descriptor_pb2.FileDescriptorProto(name=f"{self._package}.proto", package=self._package, syntax="proto3")
        for cls in vars(self._module).values():
            if not isinstance(cls, type) or cls.__module__ != self._module.__name__:
                continue
            if issubclass(cls, betterproto.Enum):
                values = [
                    descriptor_pb2.EnumValueDescriptorProto(name=v.name, number=v.value) for v in typing.cast(Any, cls)
                ]
                scope = file.message_type.add(name=f"{cls.__name__}Scope")
                scope.enum_type.add(name=cls.__name__, value=values)
            elif issubclass(cls, betterproto.Message):
                self._add_message(file.message_type.add(name=cls.__name__), cls)
        file.dependency.extend(sorted(self._uses - {file.name}))
        return file

    def _add_message(self, message: Any, cls: type) -> None:
        groups: dict[str, int] = {}
        optional: list[Any] = []
        for field in dataclasses.fields(cls):
            meta = betterproto.FieldMetadata.get(field)
            full_name = f"{self._package}.{cls.__name__}"
            name = _ORIGINAL_NAMES.get((full_name, field.name), field.name.rstrip("_"))
            target = message.field.add(name=name, number=meta.number, label=Field.LABEL_OPTIONAL)
            if meta.proto_type == betterproto.TYPE_MAP:
                self._set_map(message, target, field, full_name)
            else:
                self._set_type(target, meta, field.type)
            if meta.group:
                target.oneof_index = groups.setdefault(meta.group, len(groups))
            elif meta.optional:
                optional.append(target)
        for group in groups:
            message.oneof_decl.add(name=group)
        for target in optional:  # proto3 `optional` is a oneof of one; these must come after the real ones
            target.proto3_optional = True
            target.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{target.name}")

    def _set_type(self, target: Any, meta: Any, annotation: Any) -> None:
        if typing.get_origin(annotation) is list:
            target.label = Field.LABEL_REPEATED
            (annotation,) = typing.get_args(annotation)
        elif typing.get_origin(annotation) is typing.Union:
            annotation = typing.get_args(annotation)[0]
        target.type = getattr(Field, f"TYPE_{meta.proto_type.upper()}")
        if meta.wraps:
            self._refer(target, f"google.protobuf.{_WRAPPERS[meta.wraps]}")
        elif meta.proto_type in (betterproto.TYPE_MESSAGE, betterproto.TYPE_ENUM):
            self._refer(target, self._name_of(annotation))

    def _set_map(self, message: Any, target: Any, field: Any, full_name: str) -> None:
        entry_name = "".join(part.capitalize() for part in target.name.split("_")) + "Entry"
        entry = message.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        types = betterproto.FieldMetadata.get(field).map_types or ()
        for number, (name, proto_type, value) in enumerate(
            zip(("key", "value"), types, typing.get_args(field.type), strict=True), 1
        ):
            part = entry.field.add(name=name, number=number, label=Field.LABEL_OPTIONAL)
            self._set_type(part, betterproto.FieldMetadata(number, proto_type), value)
        target.label = Field.LABEL_REPEATED
        target.type = Field.TYPE_MESSAGE
        target.type_name = f".{full_name}.{entry_name}"

    def _refer(self, target: Any, full_name: str) -> None:
        target.type_name = f".{full_name}"
        files = [f"{package}.proto" for package in PACKAGES.values() if full_name.startswith(f"{package}.")]
        name = full_name.removeprefix("google.protobuf.")
        files += [f.DESCRIPTOR.name for f in _WELL_KNOWN if name in f.DESCRIPTOR.message_types_by_name]
        self._uses.update(files)

    def _name_of(self, annotation: Any) -> str:
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            cls: Any = self._module
            for part in annotation.split("."):
                cls = getattr(cls, part)
            annotation = cls
        native = {"datetime": "google.protobuf.Timestamp", "timedelta": "google.protobuf.Duration"}
        return native.get(annotation.__name__) or _full_name(annotation)
