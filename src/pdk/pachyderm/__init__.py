"""pachd: PFS and PPS, wire-compatible with Pachyderm 2.12."""
