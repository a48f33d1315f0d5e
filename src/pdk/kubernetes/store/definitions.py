"""The CustomResourceDefinitions of the custom kinds a server was composed with, so that clients find them.

Installed by the composition root on every start. Their schemas are minimal ones, as many large projects ship them.
"""

from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resource
from pdk.kubernetes.store.metadata import timestamp
from pdk.kubernetes.store.objects import ObjectStore

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


def install_definitions(store: ObjectStore) -> None:
    """Bring the CRDs up to date; those that are keep their resourceVersion."""
    for resource in store.resources:
        if resource.is_custom:
            definition = custom_resource_definition(resource)
            known = store.find(DEFINITIONS, "", definition["metadata"]["name"])
            if known is None or known["spec"] != definition["spec"]:
                store.apply_owned(DEFINITIONS, definition)


def custom_resource_definition(resource: Resource) -> JsonObject:
    """Return the CRD of a custom kind."""
    names: JsonObject = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    columns = [{"name": column.name, "type": column.type, "jsonPath": column.path} for column in resource.columns[1:]]
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
    if resource.has_status:
        version["subresources"] = {"status": {}}
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": timestamp()}
        for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
    ]
    return {
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "conversion": {"strategy": "None"},
            "versions": [version],
        },
        "status": {"acceptedNames": names, "conditions": conditions, "storedVersions": [resource.version]},
    }
