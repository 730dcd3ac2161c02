"""A caller over TLS: whom it trusts, what it shows."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from client import Services
from common.settings import PREFIX, Settings
from grpc_discovery import SettingsError
from protos.comments_pb2 import GetVideoCommentsRequest
from tests.client.servers import Instance
from tests.security.certificates import Authority

QUESTION = GetVideoCommentsRequest(page_size=1)


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
    values: dict[str, Any] = {
        "discovery": "static",
        "static_services": f"CommentsService={instance.address}",
        "client_ca": authority.certificate,
        "client_certificate": shown.certificate,
        "client_key": shown.key,
        "client_token": "a-token",
    }
    settings = Settings.load(**values)
    async with Services.from_settings(settings) as services:
        await services.comments.GetVideoComments(QUESTION, timeout=10)
    assert instance.metadata["authorization"] == "Bearer a-token"
    async with Services.from_settings(settings.replace(client_ca=stranger.certificate)) as services:
        with pytest.raises(aio.AioRpcError):
            await services.comments.GetVideoComments(QUESTION, timeout=1)
    assert instance.asked == 1
    await instance.stop()


def test_a_token_is_not_sent_without_tls() -> None:
    with pytest.raises(SettingsError, match="KILLRVIDEO_CLIENT_CA"):
        Settings.from_environment(PREFIX, {}, client_token="a-token")
