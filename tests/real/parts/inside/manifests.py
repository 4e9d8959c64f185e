"""Checks objects for Kubernetes by their schemas: manifests.py VERSION DEFINITIONS FILE...

A line for each thing that is wrong, and 1, or else nothing and 0. A property that no schema has is
wrong, as it is to ``kubectl apply``. DEFINITIONS has CustomResourceDefinitions for those objects
that are not Kubernetes's own. It runs inside the environment of kubernetes-validate.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

# The definitions are large: the loader in C is ten times as fast.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def main(version: str, definitions: str, *files: str) -> int:
    custom = {
        each["spec"]["names"]["kind"]: each
        for each in yaml.load_all(Path(definitions).read_text(), Loader)
        if each
    }
    wrong = [
        f"{Path(file).name}: {line}"
        for file in files
        for each in yaml.load_all(Path(file).read_text(), Loader)
        for line in problems(each, version, custom)
    ]
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return int(bool(wrong))


def problems(each: dict, version: str, custom: dict[str, dict]) -> Iterator[str]:
    if definition := custom.get(each["kind"]):
        validator = jsonschema.Draft202012Validator(closed(schema(definition, each["apiVersion"])))
        yield from map(said, validator.iter_errors(each))
        return
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield said(error)


def schema(custom: dict, api_version: str) -> dict:
    """What a definition says of one version of its objects."""
    group, _, name = api_version.partition("/")
    assert group == custom["spec"]["group"], api_version
    return next(
        version["schema"]["openAPIV3Schema"]
        for version in custom["spec"]["versions"]
        if version["name"] == name
    )


def closed(node: object) -> object:
    """A schema that allows no properties but those that it names."""
    if isinstance(node, list):
        return [closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(value) for key, value in node.items()}
    # "properties" may also be the name of a property, which has no such type beside it.
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


def said(error: jsonschema.ValidationError) -> str:
    return f"{error.json_path}: {error.message}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
