{{/* Directories of the node, by platform. */}}
{{- define "sidecar-injector.cni.directories" -}}
{{- get (dict
  "default" "bin: /opt/cni/bin\nnet: /etc/cni/net.d"
  "gke" "bin: /home/kubernetes/bin\nnet: /etc/cni/net.d"
  "k3s" "bin: /var/lib/rancher/k3s/data/cni\nnet: /var/lib/rancher/k3s/agent/etc/cni/net.d"
  "k3d" "bin: /bin\nnet: /var/lib/rancher/k3s/agent/etc/cni/net.d"
  "microk8s" "bin: /var/snap/microk8s/current/opt/cni/bin\nnet: /var/snap/microk8s/current/args/cni-network"
  "openshift" "bin: /var/lib/cni/bin\nnet: /etc/cni/multus/net.d"
) .Values.cni.platform -}}
{{- end }}

{{/* Whether the plugin may ask the API server. */}}
{{- define "sidecar-injector.cni.asks" -}}
{{- if or (ne .Values.cni.podSource "annotations") (eq .Values.cni.platform "openshift") }}true{{ end -}}
{{- end }}

{{/* The environment of the agent. */}}
{{- define "sidecar-injector.cni.env" -}}
{{- $excluded := uniq (append (.Values.cni.excludeNamespaces | default list) .Release.Namespace) -}}
{{- $env := dict
  "CNI_PLATFORM" .Values.cni.platform
  "POD_SOURCE" .Values.cni.podSource
  "EXCLUDE_NAMESPACES" (join "," $excluded)
  "ISTIO_NAMESPACE" .Values.istioNamespace
  "ON_ERROR" .Values.cni.onError
  "IPTABLES_MODE" "auto"
  "IPV6" "auto"
  "LOG_LEVEL" .Values.cni.logLevel
  "REPAIR_MODE" (get (dict "in-place" "repair" "delete" "delete" "label" "label" "off" "off") .Values.cni.repair) -}}
{{- if eq .Values.cni.repair "in-place" -}}
{{- $_ := set $env "REPAIR_HOST_PROC" "/host/proc" -}}
{{- end -}}
{{- if include "sidecar-injector.cni.asks" . -}}
{{- $_ := set $env "PLUGIN_SERVICE_ACCOUNT" "sidecar-cni-plugin" -}}
{{- end -}}
{{- if eq .Values.cni.platform "openshift" -}}
{{- $env = mergeOverwrite $env (dict "CHAINED_CNI_PLUGIN" "false" "POD_SOURCE" "auto" "NETWORK_ATTACHMENT" "default/istio-cni") -}}
{{- end -}}
{{- range $name, $value := .Values.cni.env -}}
{{- $_ := set $env $name (toString $value) -}}
{{- end -}}
{{- range $name, $value := $env }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
