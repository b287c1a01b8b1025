{{/*
Which pods come to the webhook: Istio's matrix of labels, under names and a label of our own, so that istiod's
certificate patcher leaves these entries alone. Arguments: root, name, revision, tag, isDefault. caBundle is not
here: the webhook writes it, or cert-manager does.
*/}}
{{- define "sidecar-injector.configuration" -}}
{{- $named := .tag | default .revision -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: {{ .name }}
  labels:
    {{- include "sidecar-injector.labels" .root | nindent 4 }}
    sidecar-injector.io/rev: {{ .revision | quote }}
    {{- with .tag }}
    sidecar-injector.io/tag: {{ . | quote }}
    {{- end }}
  {{- $annotations := deepCopy (.root.Values.webhook.annotations | default dict) }}
  {{- if eq .root.Values.certificate.source "cert-manager" }}
  {{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s" .root.Release.Namespace (include "sidecar-injector.name" .root)) }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
webhooks:
# A namespace that names this revision.
{{ include "sidecar-injector.entry" (dict "root" .root "prefix" "rev.namespace"
    "namespace" (list (list "istio.io/rev" "In" (list $named)) (list "istio-injection" "DoesNotExist"))
    "object" (list (list "sidecar.istio.io/inject" "NotIn" (list "false")))) }}
# A pod that names this revision, in a namespace that says nothing.
{{ include "sidecar-injector.entry" (dict "root" .root "prefix" "rev.object"
    "namespace" (list (list "istio.io/rev" "DoesNotExist") (list "istio-injection" "DoesNotExist"))
    "object" (list (list "sidecar.istio.io/inject" "NotIn" (list "false")) (list "istio.io/rev" "In" (list $named)))) }}
{{- if .isDefault }}
# A namespace with injection enabled.
{{ include "sidecar-injector.entry" (dict "root" .root "prefix" "namespace"
    "namespace" (list (list "istio-injection" "In" (list "enabled")))
    "object" (list (list "sidecar.istio.io/inject" "NotIn" (list "false")))) }}
# A pod that asks for a sidecar, in a namespace that says nothing.
{{ include "sidecar-injector.entry" (dict "root" .root "prefix" "object"
    "namespace" (list (list "istio-injection" "DoesNotExist") (list "istio.io/rev" "DoesNotExist"))
    "object" (list (list "sidecar.istio.io/inject" "In" (list "true")) (list "istio.io/rev" "DoesNotExist"))) }}
{{- if .root.Values.webhook.enableNamespacesByDefault }}
# Neither says anything.
{{ include "sidecar-injector.entry" (dict "root" .root "prefix" "auto"
    "namespace" (list (list "istio-injection" "DoesNotExist") (list "istio.io/rev" "DoesNotExist"))
    "object" (list (list "sidecar.istio.io/inject" "DoesNotExist") (list "istio.io/rev" "DoesNotExist"))) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
One entry. Every one leaves out the namespaces that a cluster starts from and the webhook's own: with failurePolicy
Fail nothing that the webhook needs in order to start may wait for the webhook. So do the conditions: pods in the
network of their node are what a network is made of, and mirror pods run already; the injector would inject neither.
*/}}
{{- define "sidecar-injector.entry" -}}
- name: {{ .prefix }}.sidecar-injector.io
  clientConfig:
    service:
      name: {{ include "sidecar-injector.name" .root }}
      namespace: {{ .root.Release.Namespace | quote }}
      path: /inject
      port: 443
  rules:
  - operations:
    - CREATE
    apiGroups:
    - ""
    apiVersions:
    - v1
    resources:
    - pods
    scope: Namespaced
  failurePolicy: {{ .root.Values.webhook.failurePolicy }}
  reinvocationPolicy: {{ .root.Values.webhook.reinvocationPolicy }}
  timeoutSeconds: {{ .root.Values.webhook.timeoutSeconds }}
  # Events are written, except for dry runs.
  sideEffects: NoneOnDryRun
  admissionReviewVersions:
  - v1
  matchConditions:
  - name: own-network
    expression: '!object.spec.?hostNetwork.orValue(false)'
  - name: not-a-mirror-pod
    expression: '!("kubernetes.io/config.mirror" in object.metadata.?annotations.orValue({}))'
  namespaceSelector:
    matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
      {{- include "sidecar-injector.excludedNamespaces" .root | nindent 6 }}
    {{- include "sidecar-injector.requirements" .namespace | nindent 4 }}
  objectSelector:
    matchExpressions:
    {{- include "sidecar-injector.requirements" .object | nindent 4 }}
{{- end }}

{{/* Requirements of a selector, each a list of key, operator and, where it takes them, values. */}}
{{- define "sidecar-injector.requirements" -}}
{{- range $index, $requirement := . }}
{{- if $index }}
{{ end -}}
- key: {{ index $requirement 0 }}
  operator: {{ index $requirement 1 }}
  {{- if gt (len $requirement) 2 }}
  values:
  {{- range index $requirement 2 }}
  - {{ . | quote }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Two active injectors that take the same pods stop each other. The cluster is asked where there is one: another
configuration that names this revision, not of this release, and not switched off (istioctl's way is a selector
that matches nothing).
*/}}
{{- define "sidecar-injector.refuseOthers" -}}
{{- if not .Values.webhook.allowOtherInjectors -}}
{{- $mine := list -}}
{{- range include "sidecar-injector.configurations" . | fromYamlArray -}}{{- $mine = append $mine . -}}{{- end -}}
{{- $revisions := include "sidecar-injector.revisions" . | fromJsonArray -}}
{{- range (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $named := list (index $labels "istio.io/rev") (index $labels "istio.io/tag") (index $labels "sidecar-injector.io/rev") (index $labels "sidecar-injector.io/tag") -}}
{{- $isSame := false -}}
{{- range $named -}}{{- if has . $revisions -}}{{- $isSame = true -}}{{- end -}}{{- end -}}
{{- $isActive := false -}}
{{- range .webhooks -}}
{{- $never := dig "namespaceSelector" "matchLabels" "istio.io/deactivated" "" . -}}
{{- if and (hasSuffix "sidecar-injector.istio.io" .name) (not $never) -}}{{- $isActive = true -}}{{- end -}}
{{- if hasSuffix "sidecar-injector.io" .name -}}{{- $isActive = true -}}{{- end -}}
{{- end -}}
{{- /* A tag that this release had and gives up now is no other injector. */ -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $isOwn := and (eq (index $annotations "meta.helm.sh/release-name" | default "") $.Release.Name) (eq (index $annotations "meta.helm.sh/release-namespace" | default "") $.Release.Namespace) -}}
{{- if and $isSame $isActive (not $isOwn) (not (has .metadata.name $mine)) -}}
{{- fail (printf "MutatingWebhookConfiguration %s: got an active injector of the same revision, want it switched off first (docs/guides/migrating.md), or webhook.enabled=false, or webhook.allowOtherInjectors=true" .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
