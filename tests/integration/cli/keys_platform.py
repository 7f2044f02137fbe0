"""A platform that only manages keys, on a real port: the routes themselves over stores in a home."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from evolving_ai._common.clock import SystemClock
from evolving_ai.security.admin_token import ensure_admin_token
from evolving_ai.security.api_keys import KeyService
from evolving_ai.stores.sqlite.audit_log import SqliteAuditLog
from evolving_ai.stores.sqlite.key_store import SqliteKeyStore
from tests.unit.serving.api.keys_app import Services, keys_app

__all__ = ["keys_platform", "serve"]

PATIENCE_S = 20.0


@contextmanager
def serve(app: object) -> Iterator[str]:
    """Serve an ASGI application on a free port of this machine; the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@contextmanager
def keys_platform(home: Path) -> Iterator[Services]:
    """Run it in `home` for the length of the block."""
    home.mkdir(mode=0o700, exist_ok=True)
    clock, run_file = SystemClock(), home / "run.json"
    with SqliteAuditLog.open(home / "audit.db", clock) as audit, SqliteKeyStore.open(home / "keys.db") as store:
        services = Services(clock, audit, KeyService(store, clock, ensure_admin_token(home)))
        with serve(keys_app(services)) as url:
            run_file.write_text(json.dumps({"url": url}))
            try:
                yield services
            finally:
                run_file.unlink()
