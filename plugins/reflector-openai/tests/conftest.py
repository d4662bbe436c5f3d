"""Shared by the tests of this plugin."""

import os
import ssl

import pytest


@pytest.fixture(autouse=True)
def _no_outside_world(monkeypatch):
    """No key, no proxy and no setting of the machine's reaches a test."""
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    # nothing here speaks TLS, and each client would read the certificates for 50 ms
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **more: None)
