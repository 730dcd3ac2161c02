"""A caller over TLS: whom it trusts, what it shows."""

from pathlib import Path

import grpc
import pytest
from grpc import aio

from client import Services
from common.settings import Settings
from tests.client.servers import Instance
from tests.client.test_calls import QUESTION
from tests.security.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


async def test_a_caller_shows_its_certificate_and_its_token_and_checks_the_servers(
    authority: Authority, tmp_path: Path
) -> None:
    served, shown, stranger = authority.sign("server"), authority.sign("caller"), Authority(tmp_path, "theirs")
    credentials = grpc.ssl_server_credentials(
        [served.pair()], authority.certificate.read_bytes(), require_client_auth=True
    )
    instance = Instance()
    await instance.start(credentials)
    values = {
        "discovery": "static",
        "static_services": f"CommentsService={instance.address}",
        "client_ca": authority.certificate,
        "client_certificate": shown.certificate,
        "client_key": shown.key,
        "client_token": "a-token",
    }
    settings = Settings(**values)  # type: ignore[arg-type]  # pydantic checks them
    async with Services.from_settings(settings) as services:
        await services.comments.GetVideoComments(QUESTION, timeout=10)
    assert instance.shown == "Bearer a-token"
    async with Services.from_settings(settings.model_copy(update={"client_ca": stranger.certificate})) as services:
        with pytest.raises(aio.AioRpcError):
            await services.comments.GetVideoComments(QUESTION, timeout=1)
    assert instance.asked == 1
    await instance.stop()


def test_a_token_is_not_sent_without_tls() -> None:
    with pytest.raises(ValueError, match="CLIENT_CA"):
        Settings(client_token="a-token")  # type: ignore[call-arg,arg-type]  # all others have a default
