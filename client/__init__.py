"""Finding and calling KillrVideo's services from any Python program.

    async with Services.from_settings() as services:
        answer = await services.comments.GetVideoComments(request, timeout=2.0)

Instances are found through the registry and followed while they come and go. A call goes to the less busy of two instances, leaves one that is
stopping, hung or failing, and is repeated only where its .proto file says that this can do no harm.
"""

from client.blocking import BlockingServices
from client.services import Services

__all__ = ["BlockingServices", "Services"]
