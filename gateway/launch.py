"""`sealgate serve` without a role: set up what is fresh, then start keyholder, gateway and smtp and watch them.

On PostgreSQL the gateway is two processes, worker and portal; a node whose keyholder is another node's or another
machine's waits for that, and the keyholder's own machine runs that alone.
Promises: the order is keyholder, gateway, smtp, so that a door opens only when what is behind it is ready (their
programs are read side by side, which is most of a start; none opens anything before it is told); addresses
are bound before rights are dropped (ports under 1024) and listened on by the roles alone; one `serve` runs on a node at
a time, and a new one waits until no role of an earlier one is left; nothing is set up beside existing data; settings
that changed are put to the keyholder, which lets them wait once the tenant has an officer (DESIGN §4a).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gateway import enlisting, install, keyholders, nodes, owners, reopening, restored, rootkeys
from gateway.errors import GatewayError, Misconfigured, TryLater
from gateway.logs import Log
from gateway.roles import GROUP_READS, PRIVATE, Identities, identities
from gateway.settings import Endpoint, Settings
from gateway.supervise import DRAIN_SECONDS, Child, ChildEnded, Supervisor, python
from keys.client import OperatorClient, WorkerClient
from keys.errors import Denied, KeysError

log = Log("gateway.launch")


def launch(settings: Settings, config: Path | None, *, single_user: bool, log_level: str) -> int:
    """Runs until SIGTERM. Raises Misconfigured before anything is started or changed when that is impossible."""
    alone = settings.node.keyholder == "alone"
    who = identities(single_user, apart=settings.on_postgres, keyholder_alone=alone)
    if os.environ.get("SEALGATE_TEST_LIMITS", "{}") != "{}":
        print("sealgate: SEALGATE_TEST_LIMITS is set: the keyholder's limits are those of a test", file=sys.stderr)
    if not who.enforced:
        print("sealgate: one user for all roles: the boundary between them is not enforced", file=sys.stderr)
    if alone:
        return _keyholder_alone(settings, who)
    keyholders.need(settings)
    config = config.absolute() if config else None
    owners.readable(settings, who, config)
    fresh = install.fresh(settings)
    if fresh:
        install.node_directory(settings, who)
    running = _alone(settings)
    own = settings.node.keyholder == "own"
    setup = None
    if fresh:
        tables(settings)
        setup = install.prepare(settings, who)
        if own:
            install.make_kek(settings, who)
        install.storage(settings, who)
    else:
        owners.same_users(settings, who)
    roles_of_tables(settings)
    portal = _bound(settings.portal.listen)
    smtp = _bound((*settings.smtp.listen, *settings.smtp.submission_listen, *settings.smtp.submissions_listen))
    supervisor = Supervisor()
    environ = dict(os.environ)
    umask = GROUP_READS if who.enforced else PRIVATE
    try:
        keyholder = None
        if own:
            keyholder = _begun(supervisor, settings, who, running, fresh=fresh)
        base = ["-m", "gateway", "serve", "--log-level", log_level, *(["--config", str(config)] if config else [])]
        parts = [("worker", []), ("portal", portal)] if settings.on_postgres else [("gateway", portal)]
        waiting = []
        for role, sockets in (*parts, ("smtp", smtp)):  # each reads its program while the others start
            handed = ["--wait", "--descriptors", ",".join(str(one.fileno()) for one in sockets)]
            waiting.append(supervisor.begin(
                role, python(*base, "--role", role, *handed), who.of[role], environ, descriptors=[running],
                sockets=sockets, umask=umask, waits=True,
            ))  # fmt: skip
        if keyholder is not None:
            supervisor.ready(keyholder)
        tenants = keyholder_ready(settings, who, setup)
        for child in waiting:
            supervisor.ready(child)
    except ChildEnded as error:
        supervisor.stop()
        if error.status in (78,):
            raise Misconfigured("a part of the gateway refused its configuration; the line above says why") from error
        raise
    except KeysError as error:
        supervisor.stop()
        raise TryLater("the keyholder does not answer") from error
    except GatewayError:
        supervisor.stop()
        raise
    if setup is not None:
        install.finished(settings)
    restored.done(settings.node_directory)

    def started() -> None:
        first = tenants[settings.tenant.name]
        said = {"ready": True, "tenant": first, "tenants": tenants, "portal": settings.portal.public_url}
        print(json.dumps(said), flush=True)

    return supervisor.run(started)


def _begun(supervisor: Supervisor, settings: Settings, who: Identities, running: int, *, fresh: bool) -> Child:
    """The keyholder as a child of ours, on its way to be ready."""
    install.sockets(settings, who)
    credential = rootkeys.handed_over(settings, who)
    path = install.write_keyholder_file(
        settings, who, create=fresh, key_descriptor=-1 if credential is None else credential.descriptor
    )
    return supervisor.begin(
        "keyholder", python("-m", "keys.keyholder", "--config", str(path)), who.of["keyholder"], dict(os.environ),
        descriptors=[running, *([] if credential is None else [credential.descriptor])],
        before=None if credential is None else credential.fill,
    )  # fmt: skip


def _keyholder_alone(settings: Settings, who: Identities) -> int:
    """`serve` on the machine of the keyholder: nothing else is set up or started there, whatever the file says."""
    install.node_directory(settings, who)
    running = _alone(settings)
    fresh = install.fresh_keyholder(settings)
    if fresh:
        install.keys_folder(settings, who)
        install.make_kek(settings, who)
    else:
        owners.same_users(settings, who)
        rootkeys.need(settings)
    supervisor = Supervisor()
    try:
        supervisor.ready(_begun(supervisor, settings, who, running, fresh=fresh))
    except ChildEnded as error:
        supervisor.stop()
        if error.status in (78,):
            raise Misconfigured("the keyholder refused its configuration; the line above says why") from error
        raise
    listen = [str(one) for one in settings.keys.listen]
    return supervisor.run(lambda: print(json.dumps({"ready": True, "keyholder": listen}), flush=True))


def tables(settings: Settings) -> None:
    """The tables of a fresh installation on PostgreSQL, by their owner. SQLite's are the gateway's own to make.

    Raises Misconfigured when nobody is named who could make them.
    """
    if not settings.on_postgres:
        return
    from gateway.store import grants, migrations  # the parent itself uses no database, and starts without its port

    if migrations.version(settings.store.url) is None:
        if not settings.store.owner_url:
            raise Misconfigured("[store] the database has no tables yet: name owner_url, or run: sealgate migrate")
        migrations.create(settings.store.owner_url)
    if settings.store.owner_url:
        grants.apply(
            settings.store.owner_url, *(role_of(url) for url in (settings.store.url, settings.store.portal_url))
        )


def role_of(url: str) -> str:
    """The database role that a URL names."""
    from gateway.store import engines

    return engines.parse(url).username or ""


def roles_of_tables(settings: Settings) -> None:
    """Raises Misconfigured when a process would serve with a database role that may do more than it."""
    if settings.on_postgres:
        from gateway.store import grants, migrations

        migrations.check(settings.store.url)
        grants.check(settings.store.url, one_tenant=False)
        grants.check(settings.store.portal_url, one_tenant=True)


def _alone(settings: Settings) -> int:
    """Make sure that no other `serve` and no role of an earlier one runs here; a descriptor that the roles inherit.

    Raises TryLater. The first lock is this process's alone; the second is let go when the last role has ended, which
    after a `kill -9` of the parent is some seconds later.
    """
    try:
        install.lock(settings, install.LOCKS[0])
    except BlockingIOError as error:
        raise AlreadyServed("another serve runs on this node") from error
    deadline = time.monotonic() + DRAIN_SECONDS + 5
    while True:
        try:
            return install.lock(settings, install.LOCKS[1])
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise AlreadyServed("roles of an earlier serve are left") from error
            time.sleep(0.1)


class AlreadyServed(TryLater):
    """Another `sealgate serve` runs on this installation, or parts of one that was killed have not ended yet."""


def _bound(listen: Sequence[Endpoint]) -> list[socket.socket]:
    """Sockets bound to these addresses, not listening yet. Raises Misconfigured naming the one that cannot be had."""
    sockets: list[socket.socket] = []
    for one in listen:
        opened = socket.socket(socket.AF_INET6 if ":" in one.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if opened.family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind((one.host, one.port))
        except OSError as error:
            raise Misconfigured(f"cannot listen on {one.host}:{one.port}: {error.strerror}") from error
        sockets.append(opened)
    return sockets


def keyholder_ready(settings: Settings, who: Identities, setup: install.Setup | None) -> dict[str, str]:
    """Register what is fresh, check the node's keys, put the file's settings to the keyholder; tenants' ids by name.

    Raises Misconfigured, and KeysError while the keyholder does not answer.
    """
    if not keyholders.administers(settings):
        return _without_operator(settings, setup)
    operator = OperatorClient(keyholders.reach(settings, "operator"))
    try:
        if setup is not None:
            operator.create_tenant(setup.tenant, setup.name, setup.origin)
            print(f"new log: {setup.origin}", flush=True)
            nodes.node_keys(settings, who, operator)
        if restored.settled(settings.node_directory, settings.worker_directory):
            restored.done(settings.node_directory)
        if (back := restored.read(settings.node_directory)) is not None:
            _come_back(settings, who, operator, back)
        reopening.carry_out(settings, operator)
        nodes.check_node_keys(settings, operator)
        if settings.node.keyholder == "shared":  # what is signed comes from the node that starts the keyholder
            return enlisting.known(settings, operator)
        return enlisting.put(settings, operator)
    finally:
        operator.close()


def _without_operator(settings: Settings, setup: install.Setup | None) -> dict[str, str]:
    """As `keyholder_ready` on a machine that may change nothing at the keyholder: what is signed there stays in force.

    Raises Misconfigured for a first start, and after a restore.
    """
    if setup is not None or restored.read(settings.node_directory) is not None:
        raise Misconfigured(
            "a first start, and one after a restore, needs the operator's certificate on this machine: "
            "sealgate keys request FILE --operator"
        )
    worker = WorkerClient(keyholders.reach(settings, "worker"))
    try:
        nodes.check_node_keys(settings, worker)
        log.info("settings:as-signed")
        return enlisting.known_to(settings, worker)
    finally:
        worker.close()


def _come_back(settings: Settings, who: Identities, operator: OperatorClient, back: restored.Restored) -> None:
    """The first start after a restore: new keys for this node, and accounts that had been disabled are so again."""
    nodes.node_keys(settings, who, operator)
    for tenant, user in back.disabled:
        with contextlib.suppress(Denied):  # one that was added after the keyholder's copy is not there at all
            operator.disable_user(tenant, user)
