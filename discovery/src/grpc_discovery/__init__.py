"""gRPC services that advertise themselves in etcd, and callers that find them there and lose no call. See README.md.

Importing this configures nothing: no logging, no event loop, no signals. Only Application.run() does.
"""

from grpc_discovery.discovery import BlockingDiscovery, Discovery
from grpc_discovery.environment import Section, SettingsError, setting
from grpc_discovery.registration import BlockingRegistration, Registration, State, registration
from grpc_discovery.registry.factory import open_registry
from grpc_discovery.registry.interface import Registry, RegistryUnavailable
from grpc_discovery.registry.memory import MemoryRegistry
from grpc_discovery.serving.application import Application
from grpc_discovery.serving.deadlines import shielded, start_shielded, time_left
from grpc_discovery.serving.dependencies import Dependency
from grpc_discovery.serving.statuses import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from grpc_discovery.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "AlreadyExists",
    "Application",
    "BlockingDiscovery",
    "BlockingRegistration",
    "DeadlineExceeded",
    "Dependency",
    "Discovery",
    "FailedPrecondition",
    "InvalidArgument",
    "MemoryRegistry",
    "NotFound",
    "PermissionDenied",
    "Registration",
    "Registry",
    "RegistryUnavailable",
    "ResourceExhausted",
    "Section",
    "ServiceError",
    "Settings",
    "SettingsError",
    "State",
    "Unauthenticated",
    "Unavailable",
    "open_registry",
    "registration",
    "setting",
    "shielded",
    "start_shielded",
    "time_left",
]
