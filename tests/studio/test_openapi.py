"""The OpenAPI document is valid, and describes every route."""

import pytest

from tests.studio.conftest import Studio
from undiffuse.studio import api, openai_api, understand_api


def test_it_is_valid(studio: Studio) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(studio.get("/openapi.json").json())


def test_every_endpoint_is_described(studio: Studio) -> None:
    paths = studio.get("/openapi.json").json()["paths"]
    described = {(path, method.upper()) for path, about in paths.items() for method in about}
    for route in (*api.ROUTES, *understand_api.ROUTES, *openai_api.ROUTES):
        stem, dot, suffix = route.path.rpartition(".")
        path = f"{stem}.{{suffix}}" if dot else route.path
        for method in route.methods - {"HEAD"}:
            assert (path, method) in described, (path, method, suffix)


def test_settings_that_are_valid_are_accepted_and_others_not(studio: Studio) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = studio.get("/openapi.json").json()
    schema = document["components"]["schemas"]["Settings"]
    good = {"prompt": "cat", "steps": 1, "style": None, "freshness": 0.5, "sampler": "blend"}
    jsonschema.validate(good, schema)
    assert studio.post("/api/draw", good).status == 200
    for bad in ({"steps": 0}, {"x": 1}, {"style": "cubist"}, {"count": 5}, {"like": ["x"]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)
        assert studio.post("/api/draw", bad).status == 400
