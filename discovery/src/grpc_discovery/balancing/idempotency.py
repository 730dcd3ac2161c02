"""What a method's proto says of being sent twice: `option idempotency_level`, read from the descriptors in this process."""

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

_REPEATABLE = {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}


def is_idempotent(path: str) -> bool:
    """Whether the method `/package.Service/Name` may be sent again although it may have been done already.

    False where the proto says nothing, and where this process has no descriptor of the service.
    """
    service, _, name = path.removeprefix("/").rpartition("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return False
    method = found.methods_by_name.get(name)
    return method is not None and method.GetOptions().idempotency_level in _REPEATABLE
