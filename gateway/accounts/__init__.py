"""Who is who in a tenant: workforce members and recipients, their addresses sealed, found again by a keyed index."""
