"""Whether files and folders belong to the users that the roles will run as, asked before a start. DESIGN §2.

Promises: an installation is run by the users that it was set up for, or not at all; what a role could not read later is
named now, with the line that repairs it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.assets import web_dir
from gateway.errors import Misconfigured
from gateway.roles import Identities, first_unreadable, user_name
from gateway.settings import Settings


def same_users(settings: Settings, who: Identities) -> None:
    """Raises Misconfigured when an existing installation belongs to other users than those who would run it now.

    Files written by the wrong user could not be read by the right one later.
    """
    places = [("gateway", settings.worker_directory), ("smtp", settings.smtp_directory)]
    if settings.node.keyholder == "alone":
        places = []
    elif settings.on_postgres:
        places.append(("portal", settings.portal_directory))
    if settings.runs_keyholder:
        places.append(("keyholder", settings.keys.directory))
    for role, directory in places:
        try:
            owner = directory.stat().st_uid
        except OSError as error:
            raise Misconfigured(f"{directory} cannot be read: {error.strerror}; start as it was set up") from error
        if owner != who.uid(role):
            raise Misconfigured(
                f"{directory} belongs to user {user_name(owner)}, and the {role} would run as "
                f"{user_name(who.uid(role))}: start this installation as it was set up, as that user or "
                f"{'with' if who.enforced else 'without'} --single-user"
            )


def readable(settings: Settings, who: Identities, config: Path | None) -> None:
    """Raises Misconfigured naming the first file that a role's user would need and cannot read."""
    if not who.enforced:
        return
    program = [Path(sys.executable), Path(__file__), web_dir() / "text"]
    named = [config] if config is not None else []
    couriers = [one.courier for one in settings.tenants]
    pages = [settings.portal.tls_cert_file, settings.portal.tls_key_file]
    own: dict[str, list[Path | None]] = {
        "smtp": [
            *named, settings.smtp.tls_cert_file, settings.smtp.tls_key_file, settings.smtp.client_ca_file,
        ],
        "gateway": [
            *named, *([] if who.apart else pages), *(
                path for courier in couriers
                for path in (courier.client_cert_file, courier.client_key_file, courier.ca_file)
            ),
            *(secret.path for secret in (*(courier.password_file for courier in couriers),
                                         settings.notify.sms_token_file) if secret is not None),
        ],
        "keyholder": [],
    }  # fmt: skip
    if who.apart:
        own["portal"] = [*named, *pages]
    for role, files in own.items():
        user = user_name(who.uid(role))
        if first_unreadable(who.of[role], program) is not None:
            raise Misconfigured(
                f"user {user} cannot read the program at {Path(__file__).parent} or {sys.executable}: install Sealgate "
                "where every user can read it, such as /opt/sealgate, or add --single-user"
            )
        missing = first_unreadable(who.of[role], [path for path in files if path is not None])
        if missing is not None:
            raise Misconfigured(
                f"user {user} cannot read {missing}; it and the folders above it must be open to that user: "
                f"chgrp {user} {missing} && chmod 0640 {missing}"
            )
