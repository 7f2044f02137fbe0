"""What to start, out of the settings of a home and the options of the command."""

import os
from pathlib import Path

from evolving_ai.serving.config_files import find_serve_config
from evolving_ai.serving.supervisor import PlatformSpec
from evolving_ai.settings import CONFIG_VARIABLE, load_settings
from evolving_ai.wiring.replay_source import needs_replay, replay_table

__all__ = ["plan_platform"]

_SERVE_CONFIG = "dev.yaml"


def plan_platform(home: Path, *, config: Path | None, port: int | None, serve_config: Path | None) -> PlatformSpec:
    """The platform of `home`; an option that is None leaves what the settings say. SettingsError or DataError."""
    environment = {**os.environ, CONFIG_VARIABLE: str(config)} if config is not None else os.environ
    settings = load_settings(home, environment)
    is_replay = needs_replay(settings, os.environ)
    chosen = environment.get(CONFIG_VARIABLE)
    return PlatformSpec(
        home=home,
        serve_config=serve_config or find_serve_config(_SERVE_CONFIG),
        bind=settings.bind,
        port=settings.port if port is None else port,
        profile=settings.profile,
        has_dashboard=settings.dashboard,
        config=Path(chosen) if chosen else None,
        replay_table=replay_table(settings) if is_replay else None,
        replay_latency_scale=settings.replay.latency_scale,
    )
