"""Who am I and what may I do: the review kinds behind `kubectl auth whoami` and `kubectl auth can-i`.

Called by the router. Everybody who gets in here may do everything the server can do (there are no roles); a review of a
verb the server does not have on a resource says no, so that a preflight check is not told something untrue.
"""

from starlette.responses import Response

from pdk.kubernetes.api.bodies import read_object
from pdk.kubernetes.api.http import Request, json_response
from pdk.kubernetes.kinds.json_object import JsonObject
from pdk.kubernetes.kinds.resource import Resources
from pdk.web.routing import route


class Reviews:
    """Answers reviews; nothing of them is kept."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @route("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
    @route("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    @route("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews")
    def create(self, request: Request) -> Response:
        """Answer the review in the body with its status filled in."""
        group, version, plural = request.segments[1:]
        review = read_object(request)
        spec = review.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        match plural:
            case "selfsubjectaccessreviews":
                kind, status = "SelfSubjectAccessReview", self._access(spec)
            case "selfsubjectrulesreviews":
                kind, status = "SelfSubjectRulesReview", self._rules()
            case _:
                kind, status = (
                    "SelfSubjectReview",
                    {"userInfo": {"username": request.user.name, "groups": list(request.user.groups)}},
                )
        answer = {"kind": kind, "apiVersion": f"{group}/{version}", "metadata": {}, "spec": spec, "status": status}
        return json_response(answer, 201)

    def _access(self, spec: JsonObject) -> JsonObject:
        wanted = spec.get("resourceAttributes")
        if not isinstance(wanted, dict):
            return {"allowed": True}
        verb, plural = wanted.get("verb") or "*", wanted.get("resource") or "*"
        group = wanted.get("group") or ""
        matching = [
            resource
            for resource in self._resources
            if plural in ("*", resource.plural) and group in ("*", resource.group)
        ]
        if not matching:
            return {"allowed": False, "reason": "the server does not have this resource"}
        if verb != "*" and not any(verb in resource.verbs for resource in matching):
            return {"allowed": False, "reason": f"the server does not have the verb {verb} on this resource"}
        return {"allowed": True}

    def _rules(self) -> JsonObject:
        rules = [
            {"verbs": list(resource.verbs), "apiGroups": [resource.group], "resources": [resource.plural]}
            for resource in self._resources
        ]
        open_paths = [{"verbs": ["get"], "nonResourceURLs": ["*"]}]
        return {"resourceRules": rules, "nonResourceRules": open_paths, "incomplete": False}
