"""A tenant as the keyholder signed it (DESIGN §4a, "What the keyholder vouches for").

Promises: nothing of the configuration file decides over mail; a changed file waits until the change is approved, and
the gateway goes on with what was signed, the policy's text included.
"""

from __future__ import annotations

from datetime import timedelta

from gateway.actions.tenants import TenantView
from gateway.policy import parse
from gateway.share import answering
from keys.client import WorkerClient, unb64
from keys.encoding import canonical
from keys.signing import verify_signature


def vouched_view(keyholder: WorkerClient, pinned: bytes, tenant: str, origin: str) -> TenantView:
    """The settings in force. Raises Tampered where a signature does not hold, TryLater while the keyholder is down."""
    with answering():
        vouched = keyholder.settings(tenant)
        body = vouched["body"]
        signature = unb64(vouched["signature"])
        verify_signature(pinned, signature, "sealgate/settings/v1", tenant, vouched["serial"], canonical(body))
    policy = parse(body["policy"], body["policy_toml"].encode(), "the signed policy")
    return TenantView(
        id=tenant,
        name=body["name"],
        display_name=body["display_name"],
        phone=body["phone"],
        domains=frozenset(domain.lower() for domain in body["domains"]),
        public_url=body["public_url"],
        timezone=body["timezone"],
        policy=policy,
        origin=origin,
        message_for=timedelta(days=body["message_days"]),
        hold_for=timedelta(days=body["hold_days"]),
    )
