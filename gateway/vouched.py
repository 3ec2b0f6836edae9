"""A tenant as the keyholder signed it (DESIGN §4a, "What the keyholder vouches for").

Promises: who the tenant is, whom it trusts, what happens to its mail and where that mail goes is what was signed, the
policy's text included; a changed file waits. Of the file itself count the doors' addresses, limits and credentials.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gateway.actions.tenants import DeviceView, TenantView
from gateway.policy import parse
from gateway.senders import loop_value
from gateway.settings import Courier, Notify
from gateway.settingtypes import smarthost
from gateway.share import answering
from keys.client import PortalClient, WorkerClient, unb64
from keys.encoding import canonical
from keys.signing import verify_signature


def vouched_view(keyholder: WorkerClient | PortalClient, pinned: bytes, tenant: str, origin: str) -> TenantView:
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
        smarthost=smarthost(body["smarthost"]),
        smarthost_tls=body["smarthost_tls"],
        message_for=timedelta(days=body["message_days"]),
        hold_for=timedelta(days=body["hold_days"]),
        devices={
            one["name"]: DeviceView(one["owner"], frozenset(one["senders"]), one["assume_phi"])
            for one in body.get("devices", ())
        },
        sms=body.get("sms", "none"),
        sms_url=body.get("sms_url", ""),
        loop=next((loop_value(bytes.fromhex(one["verifier"])) for one in body.get("shared", ()) if one["loop"]), ""),
    )


def vouched_courier(courier: Courier, view: TenantView) -> Courier:
    """The settings of the courier with the smarthost that was signed.

    A changed one would be a place from which all future mail can be read (DESIGN §4).
    """
    return replace(courier, smarthost=view.smarthost, tls=view.smarthost_tls)


def vouched_notify(notify: Notify, view: TenantView) -> Notify:
    """The settings of text messages with the carrier that was signed.

    Another one would hear every code, and whoever also has a mailbox, or sees links go by, opens what was sent.
    """
    return replace(notify, sms=view.sms, sms_url=view.sms_url)
