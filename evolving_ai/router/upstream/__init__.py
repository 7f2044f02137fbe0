"""HTTP clients towards providers, behind the port `router.ports.UpstreamClient`."""
