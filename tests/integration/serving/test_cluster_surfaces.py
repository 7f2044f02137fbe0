"""The surfaces of Ray that may change with any release. A failure here names what an upgrade took away."""

import inspect

import pytest

serve = pytest.importorskip("ray.serve")


def test_an_instance_can_be_given_its_folder() -> None:
    import ray

    assert '"_temp_dir"' in inspect.getsource(inspect.unwrap(ray.init))


def test_several_applications_can_be_run_at_once_without_waiting() -> None:
    parameters = inspect.signature(serve.run_many).parameters

    assert {"wait_for_ingress_deployment_creation", "wait_for_applications_running"} <= parameters.keys()
    assert {"target", "name", "route_prefix", "logging_config"} <= inspect.signature(serve.RunTarget).parameters.keys()


def test_the_controller_can_be_asked_for_details_of_replicas() -> None:
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ApplicationDetails, DeploymentDetails, ReplicaDetails

    assert callable(_get_global_client)
    assert {"status", "message", "deployments"} <= ApplicationDetails.model_fields.keys()
    assert {"status", "message", "replicas", "target_num_replicas"} <= DeploymentDetails.model_fields.keys()
    assert {"replica_id", "state", "pid"} <= ReplicaDetails.model_fields.keys()


def test_every_replica_can_be_told() -> None:
    from ray.serve.handle import DeploymentBroadcastResponse, DeploymentHandle

    assert callable(DeploymentHandle.broadcast)
    assert callable(DeploymentBroadcastResponse.results_async)


def test_an_application_can_be_bound_when_its_replica_is_built() -> None:
    class Late:
        def __serve_build_asgi_app__(self) -> None: ...

    assert inspect.isclass(serve.ingress()(Late))


def test_the_options_of_the_served_configuration_are_options_of_a_deployment() -> None:
    from evolving_ai.serving.apps import GatewayArguments, gateway
    from evolving_ai.serving.cluster import _options
    from evolving_ai.serving.config_files import find_serve_config
    from evolving_ai.serving.serve_config import read_serve_config

    config = read_serve_config(find_serve_config("dev.yaml"))

    assert [each.name for each in config.applications] == ["control", "decision", "gateway"]
    for profile in ("direct", "serve_ingress"):
        assert gateway(GatewayArguments(profile=profile), _options(config.applications[2])) is not None
