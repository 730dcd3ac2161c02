"""What a service's methods are: from the generated code in the process, or from a server by reflection, into a pool of its own."""

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError
from grpc import StatusCode, aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from grpc_discovery.addresses import printable
from grpc_discovery.cli.context import CommandError, nearest

# The messages of both versions are the same on the wire; only the names of the services differ.
_METHODS = [f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo" for version in ("v1", "v1alpha")]
_MAX_FILES = 1000


def in_process(full_name: str) -> ServiceDescriptor | None:
    """The service, if the program has brought its generated code."""
    try:
        return descriptor_pool.Default().FindServiceByName(full_name)
    except KeyError:
        return None


class Reflection:
    """Questions to one server, in the version of reflection that it answers. They raise AioRpcError if it does not answer."""

    def __init__(self, channel: aio.Channel, seconds: float) -> None:
        self._channel, self._seconds = channel, seconds
        self._methods = _METHODS
        self._pool = descriptor_pool.DescriptorPool()
        self._added: set[str] = set()

    async def service(self, name: str) -> ServiceDescriptor:
        """The service that has this full or short name, or the only one. Raises CommandError if there is none, or no use in its description."""
        answer = await self._ask(ServerReflectionRequest(list_services="*"))
        names = [service.name for service in answer.list_services_response.service]
        names = [each for each in names if not each.startswith(("grpc.reflection.", "grpc.health."))]
        alike = [each for each in names if each.rpartition(".")[2] == name.rpartition(".")[2]]
        full_name = name if name in names else (alike or names)[0] if alike or len(names) == 1 else None
        if full_name is None:
            there = printable(", ".join(names)) or "none"
            raise CommandError(f"the server has no service {name}. It has: {there}{nearest(name, names)}")
        try:
            await self._add(ServerReflectionRequest(file_containing_symbol=full_name))
            return self._pool.FindServiceByName(full_name)
        except (TypeError, KeyError, RecursionError, DecodeError) as error:
            raise CommandError(
                f"the server's description of its service cannot be used: {printable(str(error))}", 1
            ) from None

    async def _add(self, request: ServerReflectionRequest) -> None:
        """Add the files that the server answers with to the pool, each behind those that it imports."""
        answer = await self._ask(request)
        parts = answer.file_descriptor_response.file_descriptor_proto
        if not parts or len(self._added) > _MAX_FILES:
            raise KeyError(answer.error_response.error_message or "it describes nothing, or too much")
        files = {file.name: file for file in map(descriptor_pb2.FileDescriptorProto.FromString, parts)}
        for name in files:
            await self._add_file(name, files)

    async def _add_file(self, name: str, files: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
        if name not in files:
            await self._add(ServerReflectionRequest(file_by_filename=name))
        elif name not in self._added:
            self._added.add(name)
            for imported in set(files[name].dependency) - self._added:
                await self._add_file(imported, files)
            self._pool.AddSerializedFile(files[name].SerializeToString())

    async def _ask(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        for method in self._methods:
            # A stream of one request is on the wire what a single one is, and a refusal of it keeps its status.
            ask = self._channel.unary_stream(
                method, ServerReflectionRequest.SerializeToString, ServerReflectionResponse.FromString
            )
            try:
                async for answer in ask(request, timeout=self._seconds):
                    self._methods = [method]
                    return answer
            except aio.AioRpcError as error:
                if error.code() is not StatusCode.UNIMPLEMENTED:
                    raise
        raise CommandError("the server offers no reflection, so its methods are not known here: switch it on there", 1)
