"""pydo with one request per call: no retry, no redirect, no waiting, no logging.

pydo by itself repeats a POST up to four times, sleeps through a `Retry-After` inside the call,
returns some 404s as if they were the requested object, and waits five minutes for an answer.

Importing this module takes a tenth of a second and 7 MB: `services.cloud.clients.digitalocean` does
so with its first request, in a thread.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError, ServiceRequestTimeoutError
from azure.core.pipeline.policies import (
    AsyncRedirectPolicy,
    AsyncRetryPolicy,
    SansIOHTTPPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from typing_extensions import override

from services.cloud.clients.answers import RequestLost, UnsuccessfulAnswer, head, is_json
from services.cloud.clients.exchanges import Listener
from services.cloud.clients.heard_transport import HeardTransport
from services.cloud.clients.http import NEVER_CONNECTED
from services.cloud.clients.pydo_loader import compile_groups, import_client
from services.cloud.clients.read_only import transport_that_reads
from services.cloud.clients.tls import trust
from services.common.causes import cause_of

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
CONNECTIONS = 20

# The operations that a bot uses again and again. Others are compiled when they are first used.
GROUPS = (
    "AccountOperations",
    "AutoscalepoolsOperations",
    "DropletActionsOperations",
    "DropletsOperations",
    "FunctionsOperations",
    "RegionsOperations",
    "SizesOperations",
    "SnapshotsOperations",
    "TagsOperations",
)

Client = import_client()
compile_groups(GROUPS)


class PydoClient:
    """One `pydo.aio.Client`, made with the first request.

    `on_headers` gets those of every answer.
    """

    def __init__(
        self,
        token: str,
        endpoint: str,
        ca_file: str | None,
        transport: AsyncHttpTransport[Any, Any] | None,
        on_headers: Callable[[Mapping[str, str]], None],
        listener: Listener | None = None,
        *,
        reads_only: bool = False,
    ) -> None:
        self._listener = listener
        self._reads_only = reads_only
        self._token = token
        self._endpoint = endpoint
        self._ca_file = ca_file
        self._transport = transport
        self._on_headers = on_headers
        self._session: aiohttp.ClientSession | None = None
        self.api: Any = None

    async def send(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        """Send one request.

        UnsuccessfulAnswer when the answer is no plain success, RequestLost without one.
        """
        if self.api is None:
            self.api = self.build()
        try:
            return await ask(self.api)
        except AzureError as error:
            sent = False if _never_connected(error) else None
            lost = RequestLost(cause_of(error, "digitalocean.ca_file"), sent)
        # Raised here, so that no chained exception is printed along: some quote bodies.
        raise lost

    async def aclose(self) -> None:
        """Close the connections."""
        if self.api is not None:
            await self.api.close()
            self.api = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    def build(self) -> Any:
        """Return a new pydo client."""
        token, on_headers = self._token, self._on_headers

        class BearerPolicy(SansIOHTTPPolicy[Any, Any]):
            """Sends the token, also over plain HTTP to loopback, as the SDK's own does not."""

            @override
            def on_request(self, request: Any) -> None:
                request.http_request.headers["Authorization"] = f"Bearer {token}"

        class StrictPolicy(SansIOHTTPPolicy[Any, Any]):
            """Raises every answer that is no plain success, before pydo reads its body."""

            @override
            def on_response(self, request: Any, response: Any) -> None:
                http = response.http_response
                on_headers(http.headers)
                if not 200 <= http.status_code < 300 or not is_json(http):
                    raise UnsuccessfulAnswer(head(http))

        return Client(
            token,
            endpoint=self._endpoint,
            transport=self._way_out(),
            authentication_policy=BearerPolicy(),
            retry_policy=AsyncRetryPolicy.no_retries(),
            redirect_policy=AsyncRedirectPolicy.no_redirects(),
            # Below the policy that decodes: a refusal keeps its status when its body is damaged.
            per_retry_policies=[StrictPolicy()],
            # The SDK's two logging policies can print headers and bodies; nothing here may.
            logging_policy=SansIOHTTPPolicy(),
            http_logging_policy=SansIOHTTPPolicy(),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )

    def _way_out(self) -> AsyncHttpTransport[Any, Any]:
        transport = self._transport or self._socket_transport()
        if self._listener is not None:
            transport = HeardTransport(transport, self._listener)
        if self._reads_only:
            transport = transport_that_reads(transport)
        return transport

    def _socket_transport(self) -> AsyncHttpTransport[Any, Any]:
        connector = aiohttp.TCPConnector(ssl=trust(self._ca_file), limit=CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True
        )
        transport: AsyncHttpTransport[Any, Any] = AioHttpTransport(
            session=self._session,
            session_owner=False,
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
        )
        return transport


def _never_connected(error: BaseException) -> bool:
    """Whether the request certainly never left."""
    # A reset of an open connection is a ServiceRequestError too; only the cause beneath differs.
    inner = getattr(error, "inner_exception", None) or error.__cause__
    return isinstance(error, ServiceRequestTimeoutError) or isinstance(inner, NEVER_CONNECTED)
