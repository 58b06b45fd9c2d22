# SPDX-License-Identifier: Apache-2.0
"""Holds an answer against docs/openapi.json: as much of JSON Schema as that file uses."""
import json
import pathlib
import re

DOCUMENT = json.loads((pathlib.Path(__file__).resolve().parent.parent.parent / "docs/openapi.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"][2:].split("/"):
            target = target[part.replace("~1", "/")]
        node = target
    return node


def is_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def faults(value, schema, where="answer"):
    """What is wrong, in words; nothing when it fits."""
    schema = resolve(schema)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            tried = [list(faults(value, s, where)) for s in schema[choice]]
            if all(tried):
                yield f"{where} fits none of {choice}: {tried}"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(value, t) for t in types):
        yield f"{where} is {value!r}, not {types}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}, none of {schema['enum']}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where} is {value!r}, not {schema['pattern']}"
    if isinstance(value, str) and schema.get("format") == "date-time" and not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value
    ):
        yield f"{where} is {value!r}, no time"
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from faults(item, schema.get("items", {}), f"{where}[{i}]")
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where}.{name} is missing"
        for name, item in value.items():
            if name in known:
                yield from faults(item, known[name], f"{where}.{name}")
            elif schema.get("additionalProperties", True) is False:
                yield f"{where}.{name} is not documented"
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from faults(item, schema["additionalProperties"], f"{where}.{name}")


def operation_of(method, path):
    """The documented operation that a call meets; templates without captures go first."""
    method = "get" if method == "HEAD" else method.lower()
    path = path.split("?")[0]
    for template in sorted(DOCUMENT["paths"], key=lambda t: t.count("{")):
        pattern = re.sub(r"\\{key\\}$", ".+", re.escape(template))
        pattern = re.sub(r"\\{[a-z]+\\}", "[^/]+", pattern)
        if re.fullmatch(pattern, path) and method in DOCUMENT["paths"][template]:
            return DOCUMENT["paths"][template][method]
    return None


def check(method, path, answer):
    """Faults of a whole answer: its status is documented, its headers are there, its body fits; a code fits its status."""
    operation = operation_of(method, path)
    if operation is None:
        return [f"{method} {path} is not documented"]
    response = operation["responses"].get(str(answer.status))
    if response is None:
        return [f"{method} {path}: status {answer.status} is not documented: {answer.body[:300]!r}"]
    said = response.get("description", "")
    response = resolve(response)
    out = []
    if "refrain-session" not in answer.headers:
        out.append("no Refrain-Session")
    content = response.get("content", {})
    kind = answer.headers.get("content-type", "").split(";")[0]
    if "json" in kind and method != "HEAD" and kind in content:
        out += faults(json.loads(answer.body), content[kind]["schema"])
    elif content and kind not in content and "*/*" not in content:
        out.append(f"content type {kind} is not documented")
    if kind == "application/problem+json" and method != "HEAD":
        code = json.loads(answer.body)["code"]
        if code not in said.split(", "):
            out.append(f"code {code} is not documented for {answer.status}: {said}")
    return [f"{method} {path}: {fault}" for fault in out]
