"""Fixtures that the end-to-end tests share: the origins once a session, one proxy a module."""
import itertools
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import harness
import origins

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """A folder of this run's own: pytest closes the common one to other users whenever a run begins, and two runs go on at a time."""
    if not config.option.basetemp:
        config.exeat_folder = tempfile.mkdtemp(prefix="exeat-e2e-")
        config.option.basetemp = os.path.join(config.exeat_folder, "t")


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "exeat_folder", ""), ignore_errors=True)


@pytest.fixture
def name():
    """name("ok") is a host name that no other test uses; its first label tells the DNS server what to answer."""
    return lambda kind="ok", domain="exeat.test": f"{kind}-{os.getpid()}-{next(_numbers)}.{domain}"


@pytest.fixture(scope="session")
def authority():
    folder = tempfile.mkdtemp(prefix="exeat-ca-")
    os.chmod(folder, 0o755)
    yield origins.Authority(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _origin(*args, **more):
    origin = origins.Origin(*args, **more)
    yield origin
    origin.release.set()
    origin.stop()


@pytest.fixture(scope="session")
def dns():
    server = origins.Dns()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def http():
    yield from _origin(origins.HttpHandler)


@pytest.fixture(scope="session")
def https(authority):
    yield from _origin(origins.HttpHandler, tls=authority.server_context())


@pytest.fixture(scope="session")
def self_signed(authority):
    yield from _origin(origins.HttpHandler, tls=authority.server_context(self_signed=True))


@pytest.fixture(scope="session")
def echo():
    yield from _origin(origins.EchoHandler)


@pytest.fixture(scope="session")
def greeter():
    yield from _origin(origins.GreetingHandler)


@pytest.fixture(scope="session")
def closed_port():
    """Nobody listens there."""
    return origins.free_port()


@pytest.fixture(scope="session")
def h2_port():
    return origins.free_port()


@pytest.fixture(scope="session")
def ports(http, https, self_signed, echo, greeter, closed_port, h2_port):
    return [http.port, https.port, self_signed.port, echo.port, greeter.port, closed_port, h2_port]


@pytest.fixture(scope="session")
def make_proxy(dns, ports):
    """make_proxy(name, config={...}, baseline={...}): a Proxy that knows the origins; use it with `with`."""
    def make(name="proxy", **more):
        more.setdefault("dns", dns)
        return harness.Proxy(name, ports=ports + list(more.pop("ports", ())), **more)
    return make


@pytest.fixture(scope="module")
def proxy(make_proxy):
    """The module's shared proxy: enforce, python refused."""
    with make_proxy() as p:
        yield p
