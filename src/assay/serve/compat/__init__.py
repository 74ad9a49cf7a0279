"""Interfaces of other services, answered by the gateway so that their clients work unchanged."""
