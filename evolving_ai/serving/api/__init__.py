"""The routes of `/api/v1`, as FastAPI routers over what the control deployment owns."""
