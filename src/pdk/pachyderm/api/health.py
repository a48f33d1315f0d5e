"""The standard health service, which no SDK module holds, in the form of one; see `wire.py`."""

from dataclasses import dataclass
from typing import Any

import betterproto


class ServingStatus(betterproto.Enum):
    """Whether a service answers."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


@dataclass(eq=False, repr=False)
class HealthCheckRequest(betterproto.Message):
    """Which service is asked for; "" is the whole server."""

    service: str = betterproto.string_field(1)


@dataclass(eq=False, repr=False)
class HealthCheckResponse(betterproto.Message):
    """How it is."""

    status: ServingStatus = betterproto.enum_field(1)  # noqa: RUF009 (a field, as in the SDK)


class ApiStub:
    """Registers the methods of the service with a channel."""

    def __init__(self, channel: Any) -> None:
        for name, register in (("Check", channel.unary_unary), ("Watch", channel.unary_stream)):
            register(
                f"/grpc.health.v1.Health/{name}",
                request_serializer=bytes,
                response_deserializer=HealthCheckResponse.FromString,
            )
