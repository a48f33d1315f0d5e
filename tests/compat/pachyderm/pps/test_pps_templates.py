"""jsonnet templates through the official client."""

import json
from pathlib import Path

import grpc
import pytest

from pdk.projects import model_file, pipelines

TEMPLATE = Path(__file__).parents[4] / "pipelines" / "model.jsonnet"


def refused(bench, template, **args):
    with pytest.raises(grpc.RpcError) as caught:
        bench.client.pps.render_template(template=template, args=args)
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN)
    return caught.value.details()


def test_one_pipeline_or_a_list_and_nothing_is_created(bench):
    template = "function(src, n='2') {pipeline: {name: src + '-p'}, input: {pfs: {repo: src, glob: '/*'}}, " + (
        "parallelism_spec: {constant: std.parseInt(n)}, transform: {cmd: ['sh']}}"
    )
    answer = bench.client.pps.render_template(template=template, args={"src": "data"})
    assert json.loads(answer.json)["pipeline"] == {"name": "data-p"}
    (spec,) = answer.specs
    assert (spec.pipeline.name, spec.input.pfs.glob, spec.parallelism_spec.constant) == ("data-p", "/*", 2)
    both = bench.client.pps.render_template(template="[{pipeline: {name: x}} for x in ['a', 'b']]", args={})
    assert [spec.pipeline.name for spec in both.specs] == ["a", "b"]
    names = [info.pipeline.name for info in bench.client.pps.list_pipeline()]
    assert not {"data-p", "a", "b"} & set(names)


@pytest.mark.ours  # the texts are jsonnet's C++ ones, and the limits ours
@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{", "main.jsonnet:1"),
        ("function(name) {}", "name"),
        ("import '/etc/passwd'", "imports are not supported"),
        ("importstr '/etc/passwd'", "imports are not supported"),
        ("local f(x) = f(x + 1); f(0)", "max stack frames exceeded"),
        ("std.length(std.makeArray(1000000000, function(i) i))", "template err"),
        ("'text'", "must give a pipeline, or a list of pipelines"),
        ("{pipeline: {nam: 'x'}}", "nam"),
    ],
)
def test_what_is_no_template_is_named(bench, template, text):
    assert text in refused(bench, template)


def test_the_shipped_template_gives_what_a_models_folder_has(bench):
    answer = bench.client.pps.render_template(template=TEMPLATE.read_text(), args={"name": "rents", "project": "flats"})
    made = pipelines.render(model_file.parse({"name": "rents", "project": "flats"}, "model.yaml"))
    assert json.loads(answer.json) == [json.loads(text) for text in made.values()]
