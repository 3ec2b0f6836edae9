"""The checks, a file per group; each registers itself with `gateway.doctor.finding.check`."""
