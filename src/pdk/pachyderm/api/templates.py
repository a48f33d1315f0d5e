"""Pipeline templates in jsonnet: what `pachctl create pipeline --jsonnet` sends by RenderTemplate.

Mirrors the original: the arguments are top-level arguments of the template's function, as texts; a template gives one
pipeline or a list of them. Imports are refused, and a template has ten seconds and half a gigabyte.
"""

import json
import subprocess
import sys
from collections.abc import Mapping

from pdk.base.errors import InvalidArgument

SECONDS = 10
LONGEST_TEMPLATE = 1024 * 1024


def render_template(template: str, args: Mapping[str, str]) -> str:
    """Return the JSON a template gives. Raises InvalidArgument with jsonnet's message."""
    if len(template) > LONGEST_TEMPLATE:
        raise InvalidArgument(f"template is longer than {LONGEST_TEMPLATE} characters")
    request = json.dumps({"template": template, "args": dict(args)})
    command = [sys.executable, "-m", "pdk.pachyderm.api.jsonnet_main"]
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise InvalidArgument(f"template err: not evaluated within {SECONDS} seconds") from None
    if done.returncode != 0:
        reason = done.stderr.strip() or "more memory than a template may have"
        raise InvalidArgument(f"template err: {reason}")
    return done.stdout


def pipelines_of(text: str) -> list[str]:
    """Return the JSON of each pipeline a template gave. Raises InvalidArgument when it is neither one nor a list."""
    value = json.loads(text)
    documents = value if isinstance(value, list) else [value]
    if not all(isinstance(document, dict) for document in documents):
        raise InvalidArgument("template err: must give a pipeline, or a list of pipelines")
    return [json.dumps(document) for document in documents]
