"""The REST interface as Confluent's client and serializers use it: real server, real Kafka."""

import itertools
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, cast

import httpx
import pytest
from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from schemas.codec import Codec, schema, schema_text
from schemas.registry import Registry, SchemaRefused, UnknownSchema
from tests.schemas.samples import sample

_NUMBERS = itertools.count(1)


@pytest.fixture
def client(registry_url: str) -> SchemaRegistryClient:
    """Confluent's client."""
    return SchemaRegistryClient({"url": registry_url, "max.retries": 0})


@pytest.fixture
def http(registry_url: str) -> Iterator[httpx.Client]:
    """Plain HTTP."""
    with httpx.Client(base_url=registry_url) as plain:
        yield plain


@pytest.fixture
def subject() -> str:
    """A subject that no other test has."""
    return f"subject-{next(_NUMBERS)}"


def avro(node: Any) -> Schema:
    return Schema(json.dumps(node), "AVRO")


def order(*fields: Any, **more: Any) -> Schema:
    named = [{"name": name, "type": kind, **(rest[0] if rest else {})} for name, kind, *rest in fields]
    return avro({"type": "record", "name": "Order", "fields": named, **more})


def refused(call: Callable[[], Any], status: int, code: int) -> str:
    """What the client is told."""
    with pytest.raises(SchemaRegistryError) as caught:
        call()
    assert (caught.value.http_status_code, caught.value.error_code) == (status, code)
    return str(caught.value.error_message)


def test_a_schema_is_registered_and_found_by_every_way(client: SchemaRegistryClient, subject: str) -> None:
    schema_id = client.register_schema(subject, order(("a", "int")))
    assert client.register_schema(subject, order(("a", "int"))) == schema_id
    latest = client.get_latest_version(subject)
    assert (latest.subject, latest.version, latest.schema_id) == (subject, 1, schema_id)
    assert client.get_version(subject, 1).schema_id == schema_id
    assert client.lookup_schema(subject, order(("a", "int"))).version == 1
    assert client.get_schema(schema_id).schema_str == order(("a", "int")).schema_str
    assert client.get_versions(subject) == [1]
    assert subject in client.get_subjects()
    assert client.get_subjects_by_schema_id(schema_id)
    assert (subject, 1) in [(v.subject, v.version) for v in client.get_schema_versions(schema_id)]
    assert client.get_schema_types() == ["AVRO"]


def test_the_same_schema_has_one_id_under_every_subject(client: SchemaRegistryClient, subject: str) -> None:
    first = client.register_schema(subject, order(("same", "int"), namespace="x"))
    same = json.loads(order(("same", "int")).schema_str or "")
    spaced = Schema(json.dumps(same | {"name": "x.Order"}, indent=3))
    assert client.register_schema(f"{subject}-other", spaced) == first
    assert client.get_subjects_by_schema_id(first) == [subject, f"{subject}-other"]


def test_an_incompatible_schema_is_refused_with_field_and_reason(
    client: SchemaRegistryClient, subject: str
) -> None:
    client.register_schema(subject, order(("a", "int"), ("b", "string")))
    said = refused(lambda: client.register_schema(subject, order(("a", "string"))), 409, 409)
    assert "FULL_TRANSITIVE" in said
    assert "the new schema cannot read version 1: Order.a: int is written, string is read" in said
    assert "version 1 cannot read the new schema: Order.b: the writer has no such field" in said
    assert client.get_versions(subject) == [1]
    assert client.register_schema(subject, order(("a", "int"), ("b", "string"), ("c", "int", {"default": 0})))
    assert client.get_versions(subject) == [1, 2]


def test_compatibility_can_be_asked_before(
    client: SchemaRegistryClient, http: httpx.Client, subject: str
) -> None:
    client.register_schema(subject, order(("a", "int")))
    fits, does_not = order(("a", "int"), ("b", "int", {"default": 0})), order(("a", "string"))
    assert client.test_compatibility(subject, fits)
    assert not client.test_compatibility(subject, does_not, version=1)
    assert not client.test_compatibility_all_versions(subject, does_not)
    assert client.test_compatibility(f"{subject}-new", does_not)
    path = f"/compatibility/subjects/{subject}/versions/latest"
    answer = http.post(path, params={"verbose": "true"}, json={"schema": does_not.schema_str}).json()
    assert not answer["is_compatible"]
    assert answer["messages"][0].endswith("Order.a: int is written, string is read")
    missing = http.post(f"/compatibility/subjects/{subject}/versions/7", json={"schema": fits.schema_str})
    assert (missing.status_code, missing.json()["error_code"]) == (404, 40402)


def test_levels_are_set_for_a_subject_and_for_all(client: SchemaRegistryClient, subject: str) -> None:
    assert client.get_compatibility() == "FULL_TRANSITIVE"
    refused(lambda: client.get_compatibility(subject), 404, 40408)
    client.register_schema(subject, order(("a", "int")))
    client.set_compatibility(subject, level="NONE")
    assert client.get_compatibility(subject) == "NONE"
    client.register_schema(subject, order(("b", "string")))
    client.set_config(subject, ServerConfig(ConfigCompatibilityLevel.BACKWARD))
    assert client.get_config(subject).compatibility_level == "BACKWARD"
    client.register_schema(subject, order())
    said = refused(lambda: client.set_compatibility(subject, level="SIDEWAYS"), 422, 42203)
    assert "BACKWARD_TRANSITIVE" in said
    client.delete_config(subject)
    refused(lambda: client.get_compatibility(subject), 404, 40408)
    try:
        client.set_compatibility(level="NONE")
        assert client.get_compatibility() == "NONE"
        client.register_schema(subject, order(("c", "string")))
    finally:
        client.delete_config()
    assert client.get_compatibility() == "FULL_TRANSITIVE"


@pytest.mark.parametrize("level", ["NONE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"])
def test_every_level_of_confluent_is_known(client: SchemaRegistryClient, subject: str, level: str) -> None:
    said: dict[str, str] = client.set_compatibility(subject, level=level)  # type: ignore[assignment]
    assert said["compatibility"] == level


def test_what_is_no_schema_is_42201(client: SchemaRegistryClient, subject: str) -> None:
    said = refused(lambda: client.register_schema(subject, order(("a", "integer"))), 422, 42201)
    assert "Order.a: type integer is not known" in said
    for text, kind in (("{", "AVRO"), ('"string"', "PROTOBUF"), ("{}", "JSON")):
        refused(partial(client.register_schema, subject, Schema(text, kind)), 422, 42201)
    assert subject not in client.get_subjects()


def test_what_is_not_there_is_named(client: SchemaRegistryClient, subject: str) -> None:
    refused(lambda: client.get_schema(999_999), 404, 40403)
    refused(lambda: client.get_versions(subject), 404, 40401)
    refused(lambda: client.get_latest_version(subject), 404, 40401)
    refused(lambda: client.lookup_schema(subject, order()), 404, 40401)
    refused(lambda: client.delete_subject(subject), 404, 40401)
    client.register_schema(subject, order(("a", "int")))
    refused(lambda: client.get_version(subject, 2), 404, 40402)
    refused(lambda: client.get_version(subject, cast(int, "first")), 422, 42202)
    refused(lambda: client.lookup_schema(subject, order(("b", "int"))), 404, 40403)


def test_a_subject_is_deleted_softly_then_for_good(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    schema_id = client.register_schema(subject, order(("a", "int"), doc=subject))
    client.register_schema(subject, order(("a", "int"), ("b", "int", {"default": 0}), doc=subject))
    refused(lambda: client.delete_subject(subject, permanent=True), 404, 40405)
    assert client.delete_subject(subject) == [1, 2]
    refused(lambda: client.delete_subject(subject), 404, 40404)
    assert subject not in client.get_subjects()
    assert subject in client.get_subjects(deleted=True)
    refused(lambda: client.get_versions(subject), 404, 40401)
    assert client.get_versions(subject, deleted=True) == [1, 2]
    # What was written with it stays readable until it is deleted for good.
    assert SchemaRegistryClient({"url": registry_url}).get_schema(schema_id).schema_str
    assert client.delete_subject(subject, permanent=True) == [1, 2]
    assert subject not in client.get_subjects(deleted=True)
    refused(lambda: SchemaRegistryClient({"url": registry_url}).get_schema(schema_id), 404, 40403)


def test_a_deleted_schema_comes_back_as_a_new_version_with_its_id(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    schema_id = client.register_schema(subject, order(("a", "int"), doc=subject))
    client.delete_subject(subject)
    other = SchemaRegistryClient({"url": registry_url})
    assert other.get_schema(schema_id).schema_str
    assert other.register_schema(subject, order(("a", "int"), doc=subject)) == schema_id
    assert other.get_versions(subject) == [2]


def test_deleted_versions_do_not_bind_later_ones(client: SchemaRegistryClient, subject: str) -> None:
    client.register_schema(subject, order(("a", "int")))
    refused(lambda: client.register_schema(subject, order(("b", "int"))), 409, 409)
    client.delete_subject(subject)
    assert client.register_schema(subject, order(("b", "int")))


def test_one_version_is_deleted(client: SchemaRegistryClient, subject: str) -> None:
    client.register_schema(subject, order(("a", "int")))
    client.register_schema(subject, order(("a", "int"), ("b", "int", {"default": 0})))
    refused(lambda: client.delete_version(subject, 1, permanent=True), 404, 40407)
    assert client.delete_version(subject, 1) == 1
    refused(lambda: client.delete_version(subject, 1), 404, 40406)
    assert client.get_versions(subject) == [2]
    assert client.get_version(subject, 1, deleted=True).version == 1
    assert client.delete_version(subject, 1, permanent=True) == 1
    assert client.get_versions(subject, deleted=True) == [2]


def test_a_read_only_subject_takes_nothing(client: SchemaRegistryClient, subject: str) -> None:
    assert client.get_global_mode() == "READWRITE"
    client.register_schema(subject, order(("a", "int")))
    assert client.update_mode(subject, "READONLY") == "READONLY"
    assert client.get_mode(subject) == "READONLY"
    more = order(("a", "int"), ("b", "int", {"default": 0}))
    refused(lambda: client.register_schema(subject, more), 422, 42205)
    refused(lambda: client.delete_subject(subject), 422, 42205)
    assert client.delete_mode(subject) == "READONLY"
    refused(lambda: client.get_mode(subject), 404, 40409)
    assert client.register_schema(subject, more)
    assert "IMPORT" in refused(lambda: client.update_mode(subject, "IMPORT"), 422, 42204)


def test_references_are_resolved_and_hold_what_they_refer_to(
    client: SchemaRegistryClient, http: httpx.Client, subject: str
) -> None:
    money = avro({"type": "record", "name": "shop.Money", "fields": [{"name": "cents", "type": "long"}]})
    client.register_schema(f"{subject}-money", money)
    text = json.dumps(
        {"type": "record", "name": "shop.Bill", "fields": [{"name": "sum", "type": "shop.Money"}]}
    )
    said = refused(lambda: client.register_schema(subject, Schema(text, "AVRO")), 422, 42201)
    assert "Bill.sum: type shop.Money is not known" in said
    there = SchemaReference("shop.Money", f"{subject}-money", 1)
    gone = SchemaReference("shop.Money", f"{subject}-money", 2)
    said = refused(lambda: client.register_schema(subject, Schema(text, "AVRO", [gone])), 422, 42201)
    assert f"subject '{subject}-money' has no version 2; register it before" in said
    schema_id = client.register_schema(subject, Schema(text, "AVRO", [there]))
    assert client.get_version(subject, 1).schema.references == [there]
    assert client.get_referenced_by(f"{subject}-money", 1) == [schema_id]
    said = refused(lambda: client.delete_subject(f"{subject}-money"), 422, 42206)
    assert f"is referenced by schemas {schema_id}" in said
    wrong = http.post(f"/subjects/{subject}/versions", json={"schema": text, "references": [{"name": 1}]})
    assert (wrong.status_code, wrong.json()["error_code"]) == (422, 422)


def test_what_is_not_kept_is_refused_not_dropped(http: httpx.Client, subject: str) -> None:
    for more, code in (
        ({"metadata": {"tags": {}}, "schemaType": "AVRO"}, 42201),
        ({"ruleSet": {"domainRules": []}}, 42201),
        ({"id": 7}, 42205),
        ({"version": 7}, 42205),
    ):
        answer = http.post(f"/subjects/{subject}/versions", json={"schema": '"string"', **more})
        assert (answer.status_code, answer.json()["error_code"]) == (422, code), more


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/subjects/x/versions", b"{", 400),
        ("POST", "/subjects/x/versions", b"\xff", 400),
        ("POST", "/subjects/x/versions", b"[]", 422),
        ("POST", "/subjects/x/versions", b"{}", 422),
        ("POST", "/subjects/x/versions", b'{"schema": {"type": "string"}}', 422),
        ("POST", "/subjects/x/versions", b"[" * 100_000, 400),
        ("POST", "/subjects/x/versions", b" " * 5_000_000, 413),
        ("PUT", "/config", b'{"compatibility": 5}', 422),
        ("PUT", "/config", b"{}", 422),
        ("PUT", "/mode", b'{"mode": null}', 422),
        ("GET", "/subjects/x/versions/0", b"", 422),
        ("GET", "/subjects/x/versions/99999999999999999999", b"", 422),
        ("GET", "/subjects/x/versions/%D9%A1", b"", 422),
        ("GET", "/schemas/ids/x", b"", 422),
        ("GET", "/nothing", b"", 404),
        ("DELETE", "/subjects", b"", 405),
    ],
)
def test_every_error_is_in_confluent_s_form(
    http: httpx.Client, method: str, path: str, content: bytes, status: int
) -> None:
    answer = http.request(method, path, content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert set(answer.json()) == {"error_code", "message"}
    assert str(answer.json()["error_code"]).startswith(str(status))
    assert answer.json()["message"]


def test_parameters_of_other_versions_of_the_interface_are_accepted(http: httpx.Client, subject: str) -> None:
    answer = http.post(
        f"/subjects/{subject}/versions?normalize=true",
        content=b'{"schema": "\\"string\\""}',
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"
    assert answer.json()["version"] == 1
    schema_id = answer.json()["id"]
    assert http.get(f"/schemas/ids/{schema_id}?fetchMaxId=true&format=&subject={subject}").json() == {
        "schema": '"string"'
    }
    assert http.get(f"/schemas/ids/{schema_id}/schema").text == '"string"'
    assert http.get(f"/subjects/{subject}/versions/latest/schema").text == '"string"'
    assert http.get(f"/config/{subject}?defaultToGlobal=true").json() == {
        "compatibilityLevel": "FULL_TRANSITIVE"
    }
    assert http.get(f"/mode/{subject}?defaultToGlobal=true").json() == {"mode": "READWRITE"}
    assert http.get(f"/subjects?subjectPrefix={subject}").json() == [subject]


def test_health_and_metrics_are_served(http: httpx.Client) -> None:
    assert (
        http.get("/livez").status_code == http.get("/readyz").status_code == http.get("/").status_code == 200
    )
    text = http.get("/metrics").text
    assert 'oms_registry_requests_total{method="GET",status="200"}' in text
    assert "\noms_registry_schemas " in text


# Confluent's serializers and our codec.


def serialized(client: SchemaRegistryClient, record: str, value: dict[str, Any], topic: str) -> bytes:
    serializer = AvroSerializer(
        client,
        schema_text(record),
        conf={"auto.register.schemas": True, "subject.name.strategy": topic_record_subject_name_strategy},
    )
    made: bytes = serializer(value, SerializationContext(topic, MessageField.VALUE))
    return made


def order_value() -> dict[str, Any]:
    """The sample order with decimals, as a client without our codec has it."""
    return _with_decimals(sample("NewOrder"), schema("NewOrder"))


def _with_decimals(message: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    value = dict(message)
    for field in record["fields"]:
        name, kind = field["name"], field["type"][1] if isinstance(field["type"], list) else field["type"]
        if isinstance(kind, dict) and kind.get("logicalType") == "decimal":
            value[name] = Decimal(value[name]).scaleb(-8)
        elif isinstance(kind, dict) and kind["type"] == "record":
            value[name] = _with_decimals(value[name], kind)
    return value


async def test_what_confluent_s_serializer_writes_our_codec_reads(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    value = serialized(client, "NewOrder", order_value(), subject)
    codec = Codec({})
    async with Registry(registry_url) as registry:
        codec.learn(Codec.schema_id(value), await registry.schema(Codec.schema_id(value)))
    assert codec.decode(value) == ("NewOrder", sample("NewOrder"))


async def test_what_our_codec_writes_confluent_s_deserializer_reads(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    async with Registry(registry_url) as registry:
        codec = Codec(await registry.register_all(subject, f"{subject}-app"))
    value = codec.encode("NewOrder", sample("NewOrder"))
    context = SerializationContext(f"{subject}.orders.v1", MessageField.VALUE)
    assert AvroDeserializer(client)(value, context) == order_value()


async def test_a_serializer_that_may_not_register_finds_ours(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    """`use.latest.version` and look-up: how producers are configured in production."""
    async with Registry(registry_url) as registry:
        ids = await registry.register_all(subject, f"{subject}-app")
    topic = f"{subject}.orders.v1"
    for conf in (
        {"auto.register.schemas": False},
        {"auto.register.schemas": False, "use.latest.version": True},
    ):
        named = {**conf, "subject.name.strategy": topic_record_subject_name_strategy}
        serializer = AvroSerializer(client, schema_text("NewOrder"), conf=named)
        value = serializer(order_value(), SerializationContext(topic, MessageField.VALUE))
        assert Codec.schema_id(value) == ids["NewOrder"]


def test_the_same_record_under_another_strategy_has_the_same_id(
    client: SchemaRegistryClient, subject: str
) -> None:
    by_topic = serialized(client, "CancelOrder", sample("CancelOrder"), subject)
    serializer = AvroSerializer(
        client, schema_text("CancelOrder"), conf={"subject.name.strategy": record_subject_name_strategy}
    )
    by_record = serializer(sample("CancelOrder"), SerializationContext(subject, MessageField.VALUE))
    assert by_record == by_topic


async def test_registering_all_again_changes_nothing(
    client: SchemaRegistryClient, registry_url: str, subject: str
) -> None:
    async with Registry(registry_url) as registry:
        ids = await registry.register_all(subject, f"{subject}-app")
        assert await registry.register_all(subject, f"{subject}-app") == ids
    assert client.get_versions(f"{subject}.orders.v1-oms.NewOrder") == [1]


async def test_our_client_says_what_was_wrong_and_what_to_do(registry_url: str, subject: str) -> None:
    async with Registry(registry_url) as registry:
        await registry.register(subject, schema_text("NewOrder"))
        changed = schema_text("NewOrder").replace('"scale": 8', '"scale": 2')
        with pytest.raises(
            SchemaRefused, match=r"NewOrder.quantity: decimal\(38, 8\) is written.*Add fields with"
        ):
            await registry.register(subject, changed)
        with pytest.raises(UnknownSchema, match="has no schema 999999: 404 Schema 999999 not found"):
            await registry.schema(999_999)
