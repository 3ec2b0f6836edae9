"""Commands that change something go to the running gateway over its control socket."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from typing import Any, TypeVar

from gateway.control import ask
from gateway.errors import Misconfigured, TryLater
from gateway.keyholders import administers, reach
from gateway.settings import Settings
from keys.client import OperatorClient
from keys.errors import Denied, Unavailable

WHY = {
    "role": "this role is not known", "password": "the password is too short: 8 characters at least, better 15",
    "no-node": "there is no such node",
    "retired": "a node of this name was taken out of use for good and its keys count no more: write another name",
    "running": "this node asked for keys within this hour: what waits in its spool "
    "would be lost. See that its queue is empty, stop it, and try again after an hour",
    "taken": "this account exists already", "no-user": "there is no such account",
}  # fmt: skip

T = TypeVar("T")


def control(settings: Settings, command: str, arguments: Mapping[str, Any]) -> Any:
    """Ask the running gateway. Raises NotRunning, ControlFailed."""
    return ask(settings.worker_directory / "control.sock", command, arguments)


def secret_lines(prompts: list[str]) -> list[str]:
    """One secret per prompt: asked for without echo on a terminal, else a line each from standard input."""
    if sys.stdin.isatty():
        return [getpass(f"{prompt}: ") for prompt in prompts]
    lines = [sys.stdin.readline().rstrip("\n") for _ in prompts]
    for prompt, line in zip(prompts, lines, strict=True):
        if not line:
            raise Misconfigured(
                f"{prompt}: nothing on standard input; write one line for each of: {', '.join(prompts)}"
            )
    return lines


def show(value: Any, *, as_json: bool, words: str = "") -> None:
    """JSON for programs, words for people."""
    print(json.dumps(value, indent=None if as_json else 2, ensure_ascii=False) if as_json or not words else words)


def keyholder(settings: Settings, call: Callable[[OperatorClient], T], why: Mapping[str, str] = WHY) -> T:
    """One call as the operator. Raises Misconfigured with what the keyholder refused, in `why`'s words; TryLater."""
    if not administers(settings):
        raise Misconfigured(
            "this machine may not act as the operator: run this on the keyholder's machine, or get the operator's "
            "certificate with: sealgate keys request FILE --operator"
        )
    client = OperatorClient(reach(settings, "operator"))
    try:
        return call(client)
    except Denied as denied:
        raise Misconfigured(why.get(denied.reason, f"the keyholder refused: {denied.reason}")) from denied
    except Unavailable as error:
        if settings.node.keyholder == "apart":
            raise TryLater(f"{error}; it is at {settings.keys.address}") from error
        raise TryLater(
            "the keyholder does not answer; is 'sealgate serve' running, and are you its user or root?"
        ) from error
    finally:
        client.close()
