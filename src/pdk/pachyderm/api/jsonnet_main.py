"""Evaluates one jsonnet template: `python -m pdk.pachyderm.api.jsonnet_main` with {"template", "args"} on stdin.

A process of its own, started by `templates`: a template can loop for ever or ask for all memory. Imports are refused.
"""

import json
import resource
import sys

MEMORY_BYTES = 512 * 1024**2


def refuse_import(folder: str, path: str) -> tuple[str, bytes]:
    """Refuse `import`: a template that reads files would read the server's."""
    raise RuntimeError(f"imports are not supported: {path!r}")


def main() -> int:
    """Print the JSON; 1 with jsonnet's own message on stderr if there is none."""
    import _jsonnet  # noqa: PLC0415 - after the limit

    request = json.load(sys.stdin)
    try:
        text = _jsonnet.evaluate_snippet(
            "main.jsonnet", request["template"], tla_vars=request["args"], import_callback=refuse_import, max_stack=200
        )
    except RuntimeError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    sys.exit(main())
