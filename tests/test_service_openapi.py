"""What the service tells machines: an OpenAPI document whose examples are answered, and metrics for Prometheus."""

from __future__ import annotations

import json
import re

import pytest
from fastapi.openapi.models import OpenAPI
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families

from lvm_core.service import schemas
from tests.service_server import DIMENSION, EIFFEL

pytestmark = pytest.mark.xdist_group("service")


@pytest.fixture(scope="module")
def document(service):
    return service.get("/openapi.json").json


@pytest.fixture(scope="module")
def operations(document):
    """By their ids: path, method and description of each."""
    found = [(path, method, one) for path, of_path in document["paths"].items() for method, one in of_path.items()]
    by_id = {one["operationId"]: (path, method, one) for path, method, one in found}
    assert len(by_id) == len(found)
    return by_id


def schema_of(document, content):
    return document["components"]["schemas"][content["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]


def families(service):
    """The metrics: name, type, help and samples."""
    return {one.name: one for one in text_string_to_metric_families(service.get("/metrics").body.decode())}


def test_the_document_is_openapi_and_its_references_lead_somewhere(document):
    assert OpenAPI.model_validate(document).openapi == "3.1.0"
    references = set(re.findall(r'"#/([^"]+)"', json.dumps(document)))
    assert references
    for reference in references:
        place = document
        for key in reference.split("/"):
            place = place[key]


def test_a_generated_client_has_short_names_and_words_for_each(document, operations):
    assert set(operations) == {"chat", "predict", "retrieve", "health", "info", "metrics"}
    tags = {tag["name"] for tag in document["tags"]}
    for name, (path, method, one) in operations.items():
        assert path == f"/{name}"
        assert method == ("post" if name in ("chat", "predict", "retrieve") else "get")
        assert one["summary"].istitle() or " " in one["summary"]
        assert one["description"].endswith(".")
        assert set(one["tags"]) <= tags


def test_every_example_of_a_request_is_answered(service, document, operations):
    asked = 0
    for path, method, one in operations.values():
        examples = schema_of(document, one["requestBody"]["content"])["examples"] if method == "post" else [None]
        for example in examples:
            answer = service.get(path) if example is None else service.post(path, example)
            assert answer.status == 200, (path, example, answer.body)
            asked += 1
    assert asked == 3 + 2 + 1 + 2


def test_every_status_has_an_example_of_its_form(document, operations):
    for _, method, one in operations.values():
        wanted = {"200", *map(str, schemas.FAILURES)} if method == "post" else {"200"}
        assert wanted <= set(one["responses"])
        for status, told in one["responses"].items():
            ((media, content),) = told["content"].items()
            assert told["description"]
            if media != "application/json":
                assert content["example"]
                continue
            schema = schema_of(document, told["content"])
            examples = [content["example"]] if "example" in content else schema["examples"]
            for example in examples:
                read = getattr(schemas, schema["title"]).model_validate(example)
                assert set(example) == set(type(read).model_fields)  # none is left out
            assert ("Retry-After" in told.get("headers", {})) == (status in ("429", "503") and "error" in examples[0])


def test_an_answer_has_the_fields_of_its_example(service, document):
    told = service.post("/chat", {"paragraph": EIFFEL}).json
    assert told.keys() == document["components"]["schemas"]["ChatAnswer"]["examples"][0].keys()
    told = service.get("/info").json
    assert told.keys() == document["components"]["schemas"]["Info"]["examples"][0].keys()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [(b"", None, 400), (b"[]", None, 422), (b"{}", {"Content-Type": "text/plain"}, 415)],
)
def test_a_refusal_is_the_sentence_of_the_document(service, operations, body, headers, status):
    sentence = operations["chat"][2]["responses"][str(status)]["content"]["application/json"]["example"]
    answer = service.once("POST", "/chat", body, headers)
    assert (answer.status, answer.json) == (status, sentence)


def test_one_limit_of_steps_everywhere(service, document):
    most = int(document["components"]["schemas"]["ChatRequest"]["properties"]["steps"]["maximum"])
    assert most == service.get("/info").json["limits"]["steps"] == 5
    for beyond in (most + 1, 17):
        refused = service.post("/chat", {"paragraph": EIFFEL, "steps": beyond})
        assert refused.status == 422
        assert refused.json["error"] == f"steps: Input should be less than or equal to {most} (it is {beyond})"
    assert len(service.post("/chat", {"paragraph": EIFFEL, "steps": most}).json["steps"]) == most


def test_metrics_count_what_was_answered(service):
    def count(**labels):
        samples = families(service)["lvm_request_duration_seconds"].samples
        return sum(one.value for one in samples if one.name.endswith("_count") and one.labels == labels)

    wanted = (
        {"method": "POST", "path": "/chat", "status": "422"},
        {"method": "POST", "path": "/retrieve", "status": "200"},
        {"method": "GET", "path": "other", "status": "404"},
        {"method": "other", "path": "/chat", "status": "405"},  # made up: no series for each
    )
    before = [count(**labels) for labels in wanted]
    service.post("/chat", {})
    service.post("/retrieve", {"text": EIFFEL})
    service.get("/nowhere/at/all")
    service.once("BREW", "/chat")
    assert [count(**labels) for labels in wanted] == [one + 1 for one in before]


def test_metrics_follow_the_conventions_of_prometheus(service):
    assert service.get("/metrics").headers["Content-Type"] == CONTENT_TYPE_PLAIN_0_0_4
    told = families(service)
    for name, family in told.items():
        assert re.fullmatch(r"(lvm|process)_[a-z_]+", name)
        assert family.documentation
        assert family.type in ("counter", "gauge", "histogram")
        endings = {"counter": ("_total",), "gauge": (name,), "histogram": ("_bucket", "_count", "_sum")}[family.type]
        assert all(one.name.endswith(endings) for one in family.samples), name
        assert not re.search("milli|_ms|minutes|kilo|mega", name)  # base units
    assert told["lvm_request_duration_seconds"].type == "histogram"
    assert told["lvm_ready"].samples[0].value == 1
    (build,) = told["lvm_build_info"].samples
    assert build.value == 1
    assert build.labels.keys() == {"version", "model", "encoder", "torch", "python"}
    assert build.labels["model"] == "small"
    assert {"lvm_batch_size", "lvm_queue_depth"} <= set(told)
    process = {"cpu_seconds", "resident_memory_bytes", "start_time_seconds", "open_fds"}
    assert {f"process_{name}" for name in process} <= set(told)
    assert told["process_cpu_seconds"].type == "counter"


def test_vectors_in_the_examples_have_the_dimension_of_the_model(document):
    (example,) = document["components"]["schemas"]["PredictRequest"]["examples"]
    assert {len(vector) for context in example["contexts"] for vector in context} == {DIMENSION}
