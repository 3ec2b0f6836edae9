"""Which role may call what: the whole of it, in one table.

Promises: a method not listed for a role does not exist for it; smtp has no role here at all. DESIGN §2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keys.keyholder import (
    authority,
    backups,
    cards,
    changes,
    closing,
    days,
    deposits,
    disposals,
    epochs,
    exports,
    factors,
    grants,
    held,
    incident,
    mailkeys,
    passkeys,
    pending,
    people,
    proofs,
    recoveries,
    recovery,
    recovery_codes,
    releaselog,
    releases,
    retention,
    rotation,
    sessions,
    staff,
    staff_passkeys,
    tenants,
    texts,
)
from keys.keyholder.calls import Signature


@dataclass(frozen=True, slots=True)
class Method:
    """A handler. `inside`: it runs within one transaction; otherwise it opens its own around slow work."""

    handler: Callable[..., Any]
    signature: Signature
    inside: bool


def _table(inside: Mapping[str, Callable[..., Any]], outside: Mapping[str, Callable[..., Any]]) -> Mapping[str, Method]:
    table = {name: Method(handler, Signature(handler), True) for name, handler in inside.items()}
    table |= {name: Method(handler, Signature(handler), False) for name, handler in outside.items()}
    return table


METHODS: Mapping[str, Mapping[str, Method]] = {
    "worker": _table(
        {
            "keys": tenants.node_keys_for,
            "node_keys": tenants.node_keys,
            "settings": tenants.settings,
            "vkeys": tenants.vkeys,
            "dkim_keys": mailkeys.dkim_keys,
            "epochs": epochs.epochs,
            "epoch_done": epochs.epoch_done,
            "snapshot": epochs.snapshot,
            "sign_checkpoint": epochs.sign_checkpoint,
            "last_checkpoint": epochs.last_checkpoint,
            "deposit": deposits.deposit,
            "messages": deposits.messages,
            "destroy_message": deposits.destroy_by_worker,
            "narrow": grants.narrow,
            "grant_state": grants.grant_state,
            "take_texts": texts.take_texts,
            "text_done": texts.text_done,
            "take_changes": people.take_changes,
            "change_done": people.change_done,
            "act_of": held.act_of,
            "release_held": held.release_held,
            "held_done": held.held_done,
            "release_log": releaselog.page,
            "dispose_more": disposals.dispose_more,
            "ended": retention.ended,
            "alive": retention.alive,
            "retention_of": retention.retention_of,
            "recovery_key": recovery.recovery_key,
            "recovery_state": recovery.recovery_state,
            "recovery_confirm": recovery.recovery_confirm,
            "recovery_proved": recovery.recovery_proved,
            "recovery_release": recoveries.recovery_release,
            "recovery_relink": recoveries.recovery_relink,
        },
        {
            "recover": recoveries.recover,
            "officer_decision": held.officer_decision,
            "decide_change": changes.decide,
            "dispose": disposals.dispose,
        },
    ),
    "portal": _table(
        {
            "keys": tenants.keys,
            "settings": tenants.settings,
            "last_checkpoint": epochs.last_checkpoint,
            "grant_info": proofs.grant_info,
            "standing": proofs.standing,
            "ask_text": texts.ask_text,
            "verify": proofs.verify,
            "use_device": factors.use_device,
            "remember": factors.remember,
            "forget_devices": factors.forget_devices,
            "session": sessions.session,
            "end_session": sessions.end_session,
            "totp_begin": factors.totp_begin,
            "totp_confirm": factors.totp_confirm,
            "passkey_ask": passkeys.passkey_ask,
            "passkey_begin": passkeys.passkey_begin,
            "passkeys": passkeys.passkeys,
            "passkey_remove": passkeys.passkey_remove,
            "recovery_codes": recovery_codes.recovery_codes,
            "factors_lost": recovery_codes.factors_lost,
            "staff_passkey_ask": staff_passkeys.staff_passkey_ask,
            "staff_passkey_begin": staff_passkeys.staff_passkey_begin,
            "staff_passkey_remove": staff_passkeys.staff_passkey_remove,
            "release": releases.release,
            "release_meta": releases.release_meta,
            "release_metas": releases.release_metas,
            "staff_code": proofs.staff_code,
            "print_card": cards.print_card,
            "register_people": people.register_people,
            "unfreeze": grants.unfreeze,
            "narrow_as": grants.narrow_as,
            "officer_act": held.officer_act,
            "changes": pending.changes_as,
            "changes_waiting": pending.waiting_as,
            "decide_change_as": changes.decide_as,
            "raise_budget": held.raise_budget,
            "vkeys": tenants.vkeys,
            "release_log": exports.release_log_as,
            "dispose_as": disposals.dispose_as,
            "retention": retention.retention_as,
            "certificate": retention.certificate_as,
            "retention_state": retention.state_as,
            "recovery": recovery.recovery_as,
            "recover_as": recoveries.recover_as,
        },
        {
            "recover": recoveries.recover,
            "dispose": disposals.dispose,
            "staff_login": staff.staff_login,
            "passkey_open": passkeys.passkey_open,
            "passkey_enrol": passkeys.passkey_enrol,
            "staff_passkey_login": staff_passkeys.staff_passkey_login,
            "staff_passkey_enrol": staff_passkeys.staff_passkey_enrol,
            "officer_decision": held.officer_decision,
            "decide_change": changes.decide,
        },
    ),
    "operator": _table(
        {
            "status": tenants.status,
            "create_tenant": tenants.create_tenant,
            "register_node": tenants.register_node,
            "retire_node": epochs.retire_node,
            "put_settings": changes.put_settings,
            "waiting": changes.waiting,
            "propose_state": closing.propose_state,
            "propose_recovery": recovery.propose_recovery,
            "recovery_state": recovery.recovery_state,
            "vkeys": tenants.vkeys,
            "disable_user": staff.disable_user,
            "app_password": staff.app_password,
            "register_person": people.register_person,
            "release_log": releaselog.page,
            "destroy_message": deposits.destroy_by_operator,
            "expire": deposits.expire,
            "destroy_day": days.destroy_day,
            "incident": incident.incident,
            "exposed": incident.exposed,
            "end_since": incident.end_since,
            "backup_begin": backups.begin,
            "backup_sign": backups.sign,
            "backup_verified": backups.verified,
            "backups": backups.listed,
            "certify": authority.certify,
            "machines": authority.machines,
            "revoke_machine": authority.revoke_machine,
            "dkim_list": mailkeys.dkim_list,
            "dkim_remove": mailkeys.dkim_remove,
        },
        {
            "add_user": staff.add_user,
            "set_password": staff.set_password,
            "dkim_make": mailkeys.dkim_make,
            "rotate": rotation.rotate,
            "root_key": rotation.state,
        },
    ),
}
