"""A Helm chart whose values are the spec, and which makes the same objects as the manifests."""

import json
import re
from collections.abc import Iterator, Mapping

from lkhub.render.files import RenderedFile
from lkhub.render.targets.kubernetes.manifests import Values, render_objects
from lkhub.render.targets.kubernetes.pod import Pod
from lkhub.source.json_text import Json

DECISIVE = ("agents", "drain", "media", "reach", "sites", "tls", "turn", "web")
"""The keys of the spec on which the pods depend: the hub's ports, its user, how long it may take to end, and its
agents. A chart can't compute them as lkhub does, so it refuses other values of them."""

STORAGE_SIZE = "1Gi"

# Stand in a template for an expression of Helm. No other text has them: a spec may not have control characters.
_IMAGE, _SIZE, _CLASS, _SPEC = "\x01", "\x02", "\x03", "\x04"

_EXPRESSIONS = {
    _IMAGE: "{{ .Values.image }}",
    _SIZE: "{{ .Values.storage.size }}",
    _CLASS: "{{- with .Values.storage.class }}\n        storageClassName: {{ . }}\n{{- end }}\n",
    _SPEC: "  hub.yaml: |\n{{ toYaml .Values.spec | indent 4 }}\n",
}


def render_chart(pod: Pod, image: str, spec: Mapping[str, Json], version: str) -> Iterator[RenderedFile]:
    """The files of the chart's folder. `spec` is the document of the spec; `version` is lkhub's."""
    yield RenderedFile("Chart.yaml", CHART.format(version=version), 0o644)
    yield RenderedFile("values.yaml", VALUES.format(image=image, size=STORAGE_SIZE, spec=_dump_spec(spec)), 0o644)
    yield RenderedFile("templates/require-same-pod.yaml", _render_guard(spec), 0o644)
    for name, text in render_objects(pod, Values(_IMAGE, _SIZE, _CLASS, _SPEC)):
        yield RenderedFile(f"templates/{name}", _as_template(text), 0o644)


def _as_template(text: str) -> str:
    # What comes from the spec, as the path of a secret's file, may have what Helm would read.
    text = text.replace("{{", '{{ "{{" }}')
    for mark, expression in _EXPRESSIONS.items():
        text = text.replace(mark, expression)
    return text


def _render_guard(spec: Mapping[str, Json]) -> str:
    decisive = {key: spec[key] for key in DECISIVE if key in spec}
    names = " ".join(f'"{key}"' for key in DECISIVE)
    return GUARD.format(
        names=names, known=json.dumps(dump_as_go(decisive), ensure_ascii=False), keys=", ".join(DECISIVE)
    )


def dump_as_go(value: Json) -> str:
    """JSON as Go's encoding/json writes it, and Helm's toJson with it: keys in order, and nothing that HTML would
    read."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _dump_spec(spec: Mapping[str, Json]) -> str:
    return "".join(_dump_value(spec, "  ")) if spec else " {}\n"


def _dump_value(value: Json, indent: str) -> Iterator[str]:
    """A value after its key, with the line's end. Every text is in quotes: Helm reads YAML 1.1, where off is a boolean
    and 1:30 a number."""
    if isinstance(value, dict) and value:
        yield "\n"
        for key, each in value.items():
            yield f"{indent}{_dump_key(key)}:"
            yield from _dump_value(each, f"{indent}  ")
    elif isinstance(value, list) and value:
        yield "\n"
        for each in value:
            # A list may hold mappings; JSON is YAML too.
            yield f"{indent}- {json.dumps(each, ensure_ascii=False)}\n"
    else:
        yield f" {json.dumps(value, ensure_ascii=False)}\n"


def _dump_key(key: str) -> str:
    plain = re.fullmatch("[a-z][a-z_]+", key) and key not in ("yes", "no", "on", "off", "true", "false", "null")
    return key if plain else json.dumps(key, ensure_ascii=False)


CHART = """\
apiVersion: v2
name: lkhub
description: A private, verified LiveKit
type: application
version: {version}
appVersion: {version}
# Probes with a grace period of their own.
kubeVersion: ">=1.28.0-0"
"""

VALUES = """\
image: {image}

storage:
  size: {size}
  # The StorageClass; empty: the cluster's default.
  class: ""

# The spec, hub.yaml. The pod depends on some of its keys; the chart says which, and refuses other values of them.
spec:{spec}"""

GUARD = """\
{{{{- /* The pod's ports, its user, how long it may take to end, and agents follow from these keys of the spec. */ -}}}}
{{{{- $known := {known} -}}}}
{{{{- if ne $known (pick .Values.spec {names} | toJson) -}}}}
{{{{- $why := "the pod of this chart was made for other values of these keys of spec: {keys}" -}}}}
{{{{- fail (print $why "; write them into hub.yaml, and make the chart again with `lkhub render kubernetes`") -}}}}
{{{{- end -}}}}
"""
