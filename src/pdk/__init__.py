"""pdk: small, wire-compatible Pachyderm, Determined and KServe servers for one machine."""
