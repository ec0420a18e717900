"""The API key that `oms up` shows: a trader's, for the demo accounts, made by the gateway like any other."""

import httpx

from app.local.home import Secrets
from app.local.program import LocalError
from schemas.client import HttpClient

NAME = "demo"


async def ensure(gateway: str, admin_key: str, secrets: Secrets) -> str:
    """Makes the key, unless the one remembered is still good; says which. Raises LocalError."""
    from app.market.seed import DEMO_ACCOUNTS

    async with HttpClient(base_url=gateway, timeout=10) as client:
        kept = secrets.get("demo_key")
        if kept and await _is_good(client, kept):
            return "kept"
        admin = {"X-API-Key": admin_key}
        # One whose secret was lost still has the name.
        await client.delete(f"/api/v1/keys/{NAME}", headers=admin)
        answer = await client.post(
            "/api/v1/keys",
            headers=admin,
            json={"name": NAME, "role": "trader", "accounts": list(DEMO_ACCOUNTS)},
        )
    if not answer.is_success:
        raise LocalError(f"the gateway made no demo key: {answer.status_code} {answer.text[:300]}")
    secrets.keep("demo_key", answer.json()["api_key"])
    return "made"


async def _is_good(client: httpx.AsyncClient, key: str) -> bool:
    answer = await client.get("/api/v1/instruments", params={"limit": 1}, headers={"X-API-Key": key})
    return answer.status_code != httpx.codes.UNAUTHORIZED
