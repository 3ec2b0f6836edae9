"""Mail as real programs of thirty years send it, made here: every kind fills with harmless words or with PHI."""

from __future__ import annotations

from tests.support.real import desktop, fields, letters, machines, outlook, services, structure, web
from tests.support.real.pieces import KINDS

__all__ = ["KINDS", "desktop", "fields", "letters", "machines", "outlook", "services", "structure", "web"]
