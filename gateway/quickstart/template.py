"""The configuration that quickstart writes: short enough to be read, every other setting at its default."""

from __future__ import annotations

from gateway.quickstart.plan import Plan
from gateway.settings import render_value as toml


def render(plan: Plan) -> str:
    """The file's text. At most 40 lines."""
    smtp_cert, smtp_key = plan.certificate("smtp")
    web_cert, web_key = plan.certificate("portal")
    data = plan.data
    web_tls = "# http on loopback needs no certificate" if plan.trial else (
        f"tls_cert_file = {toml(web_cert)}\ntls_key_file = {toml(web_key)}"
    )  # fmt: skip
    sms = '"pretend"  # a trial: codes are written to var/lib/sealgate/spool/node/worker/pretend-phone.jsonl'
    if not plan.trial:
        sms = '"none"  # "http" with sms_url sends codes; until then staff read codes out'
    root_key = (
        f'provider = "systemd-creds"  # sealed to this machine and its TPM2 chip; without a copy it dies with them\n'
        f"credential_file = {toml(plan.credential)}"
        if plan.sealed
        else f"kek_file = {toml(plan.etc / 'kek')}  # copy it to paper or a stick, and keep it out of every backup"
    )
    return f"""\
# Sealgate for {plan.domain}, written by quickstart. All settings with their defaults: sealgate check --example
# After a change: sealgate check, then restart. Look after it with: sealgate doctor
[tenant]
name = {toml(plan.name)}
domains = {toml([plan.domain])}
{_optional("display_name", plan.display_name, "Riverside Clinic")}  # as patients read it
phone = {toml(plan.phone)}  # the number that notices tell people to call
timezone = {toml(plan.timezone)}
[smtp]
listen = {toml(str(plan.smtp))}  # mail servers hand in mail here
submission_listen = {toml(str(plan.submission))}  # mail programs, with an app password
trusted_networks = {toml(list(plan.networks))}  # may send for the domains above without a password; never a provider's
tls_cert_file = {toml(smtp_cert)}
tls_key_file = {toml(smtp_key)}
[portal]
listen = {toml(str(plan.portal))}
public_url = {toml(plan.public_url)}  # stands in every link: settle it before the first mail
{web_tls}
[courier]
smarthost = {toml(str(plan.smarthost))}  # all outbound mail goes there
tls = {toml(plan.smarthost_tls)}
[policy]
file = "observe"  # changes no mail and reports; "clinic" protects what is PHI
[notify]
sms = {sms}
[store]
url = {toml(f"sqlite:///{data}/db/sealgate.db")}
[vault]
url = {toml(f"file://{data}/vault")}
[keys]
directory = {toml(data / "keys")}
{root_key}
[spool]
directory = {toml(data / "spool")}
"""


def _optional(key: str, value: str, example: str) -> str:
    return f"{key} = {toml(value)}" if value else f"#{key} = {toml(example)}"
