"""The keyholder as the portal's flows see it; the flows import it from here, so that `keys` stays behind this room."""

from keys.client import PortalClient, Receipt, Session
from keys.errors import Denied

__all__ = ["Denied", "PortalClient", "Receipt", "Session"]
