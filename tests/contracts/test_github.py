"""The client of GitHub over a real socket, against the simulated one."""

import asyncio

import pytest

from services.cloud.clients.github import GitHubFile
from services.cloud.clients.http import HttpClient
from services.common.errors import Unreachable
from services.terraform.port import ProposedChange
from simulators.clock import ScaledClock
from simulators.faults import WorldFaults
from simulators.github import TOKEN, GitHubApi
from simulators.listeners import listen_http

PATH = "live/acme prod.tfvars"
TEXT = "# ü\r\nfixedNumberOfMediaNodes = 3\r\n"


def test_a_pull_request_over_a_socket() -> None:
    async def story() -> None:
        api = GitHubApi(ScaledClock(), WorldFaults())
        repository = api.create("acme/infra", {PATH: TEXT})
        door = await listen_http(api.app(), "127.0.0.1")
        http = HttpClient()
        try:
            file = GitHubFile(http, TOKEN, door.url, "acme/infra", PATH, "main")
            assert await file.read() == TEXT
            change = ProposedChange(
                "openvidu-bot/acme-1", TEXT, TEXT.replace("3", "4"), "title", "body"
            )
            first = await file.propose(change)
            assert first.url == f"{door.url}/acme/infra/pull/1"
            assert await file.propose(change) == first == await file.find(change.branch)
            assert repository.files(change.branch)[PATH] == change.after
            page = await http.get(first.url)
            assert page.status == 200
            assert "+ fixedNumberOfMediaNodes = 4" in page.body.decode()
            await door.close()
            with pytest.raises(Unreachable) as lost:
                await file.read()
            assert TOKEN not in str(lost.value)
        finally:
            await http.aclose()
            await door.close()

    asyncio.run(story())
