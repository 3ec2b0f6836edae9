"""The section of the settings about the log's exports; as `gateway.sections`, and apart for its length."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import settingtypes as kinds
from gateway.sections import setting


@dataclass(frozen=True, slots=True)
class Audit:
    """Where the log goes by itself once a day, so that it lies where nobody of this machine can take it back."""

    export_url: str = setting(
        '"s3://bucket/prefix?endpoint=https://…&credentials=/file", or "file:///folder" on another machine\'s disk '
        "(deploy/S3.md). Empty: nowhere.",
        kinds.export_url,
        "",
        example="s3://clinic-log/riverside?credentials=/etc/sealgate/s3-log-keys",
    )
    export_lock: str = setting(
        'How a bucket with Object Lock holds it: "compliance" (nobody can shorten or remove it before the day), '
        '"governance" (who has a right of its own to can), or "none".',
        kinds.choice("compliance", "governance", "none"),
        "compliance",
    )
    export_lock_days: int = setting(
        "For how many days from its export; six years are what 45 CFR 164.316(b)(2)(i) asks for. A day once set by the "
        "store cannot be brought forward.",
        kinds.number(1, 36_500),
        2192,
    )
