"""HTTP clients of servers that may be gone at any moment."""

from typing import Any

import httpx


class HttpClient(httpx.AsyncClient):
    """httpx's client, which says ConnectError also of a connection that ends while it begins.

    anyio asks a new connection's socket for its peer; on uvloop one that the peer has closed by then has no
    socket any more, and what comes is an AttributeError.
    """

    async def send(self, request: httpx.Request, **how: Any) -> httpx.Response:
        """As httpx has it."""
        try:
            return await super().send(request, **how)
        except AttributeError as error:
            if "getpeername" not in str(error):
                raise
            raise httpx.ConnectError("the connection ended as it began", request=request) from error
