"""The hook of conftest.py that keeps every test inside."""

import socket

import pytest


def test_tests_cannot_reach_out():
    with pytest.raises(RuntimeError, match="only loopback"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(RuntimeError, match="only loopback"):
        socket.getaddrinfo("nowhere.invalid", 80)


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
