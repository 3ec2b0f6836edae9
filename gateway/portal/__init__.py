"""The web door: pages for recipients and staff, each behind a guard; no script, no decision of its own."""
