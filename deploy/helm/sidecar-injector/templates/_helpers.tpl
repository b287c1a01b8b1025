{{/* What names end in that belong to a revision. */}}
{{- define "sidecar-injector.suffix" -}}
{{ with .Values.revision }}-{{ . }}{{ end }}
{{- end }}

{{/* What the names of Istio's ConfigMaps end in that this release follows. */}}
{{- define "sidecar-injector.istioSuffix" -}}
{{- if kindIs "string" .Values.injection.istioRevision -}}
{{ with .Values.injection.istioRevision }}-{{ . }}{{ end }}
{{- else -}}
{{ include "sidecar-injector.suffix" . }}
{{- end -}}
{{- end }}

{{/* Name of the objects: one set a revision. */}}
{{- define "sidecar-injector.name" -}}
sidecar-injector{{ include "sidecar-injector.suffix" . }}
{{- end }}

{{/* Name of what no namespace holds: releases in other namespaces than the usual one keep apart. */}}
{{- define "sidecar-injector.clusterName" -}}
{{ include "sidecar-injector.name" . }}{{ if ne .Release.Namespace "sidecar-injector" }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{- define "sidecar-injector.selector" -}}
app.kubernetes.io/name: sidecar-injector
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "sidecar-injector.common" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: sidecar-injector
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sidecar-injector.labels" -}}
app.kubernetes.io/name: sidecar-injector
app.kubernetes.io/component: webhook
{{ include "sidecar-injector.common" . }}
{{- end }}

{{- define "sidecar-injector.cni.labels" -}}
app.kubernetes.io/name: sidecar-cni
app.kubernetes.io/component: cni
{{ include "sidecar-injector.common" . }}
{{- end }}

{{/* What the revision is called in selectors and in the label of ours. */}}
{{- define "sidecar-injector.revision" -}}
{{ .Values.revision | default "default" }}
{{- end }}

{{/* The revision and its tags, a list in JSON. */}}
{{- define "sidecar-injector.revisions" -}}
{{ toJson (prepend (.Values.revisionTags | default list) (include "sidecar-injector.revision" .)) }}
{{- end }}

{{/* Whether the release has entries for the default revision (templates/mutatingwebhookconfiguration.yaml). */}}
{{- define "sidecar-injector.isDefault" -}}
{{- if or (not .Values.revision) (has "default" (.Values.revisionTags | default list)) }}true{{ end -}}
{{- end }}

{{/* An image of this project. Arguments: root, image. */}}
{{- define "sidecar-injector.image" -}}
{{- $name := printf "%s%s" .root.Values.imageRegistry .image.repository -}}
{{- if .image.digest -}}
{{ $name }}@{{ .image.digest }}
{{- else -}}
{{ $name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "sidecar-injector.priorityClass" -}}
{{- if not (or .Values.priorityClass.create .Values.priorityClass.name) -}}
{{- fail "priorityClass.name: got no name with priorityClass.create=false, want the name of a class that is there and stays, or create=true" -}}
{{- end -}}
{{ .Values.priorityClass.name | default (include "sidecar-injector.clusterName" .) }}
{{- end }}

{{/* The webhook's own default: sidecar-injector-ca[-revision]. */}}
{{- define "sidecar-injector.ownCaSecret" -}}
sidecar-injector-ca{{ include "sidecar-injector.suffix" . }}
{{- end }}

{{- define "sidecar-injector.tlsSecret" -}}
{{ .Values.certificate.secretName | default (printf "%s-tls" (include "sidecar-injector.name" .)) }}
{{- end }}

{{- define "sidecar-injector.excludedNamespaces" -}}
{{- $names := concat (list "kube-system" "kube-public" "kube-node-lease" "local-path-storage" .Release.Namespace) (.Values.webhook.excludedNamespaces | default list) -}}
{{- toYaml (uniq $names) -}}
{{- end }}

{{/* Names of the MutatingWebhookConfigurations, which the webhook may patch. */}}
{{- define "sidecar-injector.configurations" -}}
{{- $names := list (include "sidecar-injector.clusterName" .) -}}
{{- range .Values.revisionTags -}}
{{- $names = append $names (printf "%s-tag-%s" (include "sidecar-injector.clusterName" $) .) -}}
{{- end -}}
{{- toYaml $names -}}
{{- end }}

{{/* The values of injection: in CNI mode they say so. */}}
{{- define "sidecar-injector.injectionValues" -}}
{{- $values := deepCopy (.Values.injection.values | default dict) -}}
{{- if .Values.proxyInit.enabled -}}
{{- $init := include "sidecar-injector.image" (dict "root" . "image" .Values.proxyInit.image) -}}
{{- $values = mergeOverwrite (dict "global" (dict "proxy_init" (dict "image" $init))) $values -}}
{{- end -}}
{{- if .Values.cni.enabled -}}
{{- $values = mergeOverwrite $values (dict "pilot" (dict "cni" (dict "enabled" true "namespace" .Values.cni.namespace))) -}}
{{- if eq .Values.cni.platform "openshift" -}}
{{- $values = mergeOverwrite $values (dict "pilot" (dict "cni" (dict "provider" "multus"))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $values -}}
{{- end }}

{{/* Ports and addresses of API servers, for both NetworkPolicies. */}}
{{- define "sidecar-injector.toApiServer" -}}
- ports:
  {{- range .Values.networkPolicy.apiServerPorts }}
  - port: {{ . }}
    protocol: TCP
  {{- end }}
  {{- with .Values.networkPolicy.apiServerCidrs }}
  to:
  {{- range . }}
  - ipBlock:
      cidr: {{ . | quote }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* A binding of a role to a ServiceAccount: root, kind, role, account, namespace, labels and, of a Role, in. */}}
{{- define "sidecar-injector.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .role }}
  {{- with .in }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include .labels .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .role }}
subjects:
- kind: ServiceAccount
  name: {{ .account }}
  namespace: {{ .namespace | quote }}
{{- end }}
