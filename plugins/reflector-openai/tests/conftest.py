"""Shared by the tests of this plugin."""

import ssl

import pytest


@pytest.fixture(autouse=True)
def _no_outside_world(monkeypatch):
    """No key, no proxy and no setting of the machine's reaches a test."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    # nothing here speaks TLS, and each client would read the certificates for 50 ms
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **more: None)
