"""Puts pages, policies and units into the wheel, under gateway/_assets; an editable install finds them as they lie."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Assets(BuildHookInterface[Any]):
    """Runs at the start of each build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"] |= {
                "web": "gateway/_assets/web",
                "deploy/policies": "gateway/_assets/policies",
                "deploy/systemd": "gateway/_assets/systemd",
            }
