"""Commands of the drills' clinics run in processes that need not start an interpreter each."""

from __future__ import annotations

from gateway.demo.clinic import Clinic
from tests.support import warm

Clinic.runner = staticmethod(warm.run)
