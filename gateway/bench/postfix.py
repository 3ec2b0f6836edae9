"""Debian's Postfix on loopback in a folder of its own: the configuration that the bench and the tests share.

Promises: nothing of the machine's own Postfix is used but its programs; it hears 127.0.0.1 only. It starts as root by
design. What a use adds (where mail goes, limits, further doors) is that use's.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from gateway.bench.load import program
from gateway.errors import Misconfigured

DAEMONS = "/usr/lib/postfix/sbin"
HOST = "postfix.test"
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60    1 pickup
cleanup   unix n - n -     0 cleanup
qmgr      unix n - n 300   1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n -     - trivial-rewrite
bounce    unix - - n -     0 bounce
defer     unix - - n -     0 bounce
trace     unix - - n -     0 bounce
verify    unix - - n -     1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n -     - proxymap
smtp      unix - - n -     - smtp
relay     unix - - n -     - smtp
error     unix - - n -     - error
retry     unix - - n -     - error
discard   unix - - n -     - discard
virtual   unix - n n -     - virtual
anvil     unix - - n -     1 anvil
scache    unix - - n -     1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = {host}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
mailbox_size_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
"""


def configure(folder: Path, port: int, main: str, services: str = "") -> None:
    """Write folder and configuration. `main` and `services` are further lines of main.cf and master.cf.

    Raises OSError, KeyError where there is no user `postfix`.
    """
    for part in ("etc", "queue", "data"):
        (folder / part).mkdir(0o755, parents=True)
    folder.chmod(0o755)
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    common = _MAIN.format(folder=folder, daemons=DAEMONS, host=HOST)
    (folder / "etc/main.cf").write_text(common + main)
    (folder / "etc/master.cf").write_text(_MASTER.format(port=port) + services)


def check(folder: Path) -> None:
    """Let Postfix look at its configuration and make its queue. Raises Misconfigured."""
    command = [program("postfix"), "-c", str(folder / "etc"), "check"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise Misconfigured(f"Postfix refuses its configuration: {done.stderr[-200:].decode(errors='replace')}")


def command(folder: Path) -> list[str]:
    """What runs it in the foreground of a session of its own."""
    return [f"{DAEMONS}/master", "-c", str(folder / "etc"), "-d"]
