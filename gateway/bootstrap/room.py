"""Whether there is room on the disks that the worker writes to; a red sign of life lets the door answer 451."""

from __future__ import annotations

from shutil import disk_usage

from gateway.settings import Settings

LEAST_FREE_BYTES = 32 * 1024 * 1024
"""Less than the door asks for (`[spool] min_free_bytes`): what was taken still goes through."""


def of_spool(settings: Settings) -> bool:
    """Where mail waits. Raises OSError when the folder is gone."""
    return disk_usage(settings.spool.directory).free > LEAST_FREE_BYTES


def of_vault(settings: Settings) -> bool:
    """Where sealed files lie, if that is on this machine. Raises OSError when the folder is gone."""
    url = settings.vault.url
    return not url.startswith("file://") or disk_usage(url.removeprefix("file://")).free > LEAST_FREE_BYTES
