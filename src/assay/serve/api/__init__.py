"""The gateway's HTTP API: `/v1`, its probes, and the services of others that it stands in for (`serve.compat`)."""
