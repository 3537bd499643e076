{{- /* Names do not follow the release's: there is one installation a cluster, and the server knows its objects by name. */}}
{{- define "osmo-admission.name" -}}
osmo-admission-webhook
{{- end }}

{{- define "osmo-admission.selectorLabels" -}}
app.kubernetes.io/name: osmo-admission-webhook
{{- end }}

{{- define "osmo-admission.labels" -}}
{{ include "osmo-admission.labelsWith" (list . dict dict) }}
{{- end }}

{{- /* Labels of an object: the chart's own and these, then these of its values, then those of all. The first one of a key counts. */}}
{{- define "osmo-admission.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/instance" $root.Release.Name "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $selector := include "osmo-admission.selectorLabels" $root | fromYaml -}}
{{- toYaml (merge (dict) $selector $own (index . 1) (index . 2) $root.Values.commonLabels) }}
{{- end }}

{{- /* Labels of the server's pods: what its Service goes by stays, whatever values say. */}}
{{- define "osmo-admission.podLabels" -}}
{{- toYaml (merge (dict) (include "osmo-admission.selectorLabels" . | fromYaml) .Values.podLabels .Values.commonLabels) }}
{{- end }}

{{- define "osmo-admission.image" -}}
{{- $image := .Values.image -}}
{{ printf "%s%s" $image.repository (ternary (printf "@%s" $image.digest) (printf ":%s" ($image.tag | default .Chart.AppVersion)) (ne $image.digest "")) | quote }}
{{- end }}

{{- /* Name of the ConfigMap with the authorities of client certificates; empty where none is asked for. */}}
{{- define "osmo-admission.clientCa" -}}
{{- $client := .Values.clientVerification -}}
{{ $client.configMapName | default (ternary "osmo-admission-webhook-client-ca" "" (ne (trim $client.caBundle) "")) }}
{{- end }}

{{- /* What the schema cannot see: the release's namespace, other installations, values that only together are wrong. */}}
{{- define "osmo-admission.check" -}}
{{- if has .Release.Namespace .Values.policy.workflowPods.namespaces }}
{{- fail (printf "%s is a workflow namespace of the policy: the webhook would gate its own pods; install it elsewhere (--namespace osmo-admission)" .Release.Namespace) }}
{{- end }}
{{- if not (or .Values.audit.stdout .Values.audit.file.enabled) }}
{{- fail "audit.stdout and audit.file.enabled are both false: the audit log has to go somewhere" }}
{{- end }}
{{- with .Values.clientVerification }}
{{- if and (trim .caBundle) .configMapName }}
{{- fail "clientVerification.caBundle and clientVerification.configMapName are both given: the authorities of client certificates come from one of them" }}
{{- end }}
{{- if and (or .required .allowedNames) (not (include "osmo-admission.clientCa" $)) }}
{{- fail (printf "clientVerification.%s needs authorities that issued the certificates: give clientVerification.caBundle or clientVerification.configMapName" (ternary "required" "allowedNames" .required)) }}
{{- end }}
{{- end }}
{{- $there := lookup "admissionregistration.k8s.io/v1" "ValidatingWebhookConfiguration" "" "osmo-admission-webhook" }}
{{- if $there }}
{{- $notes := $there.metadata.annotations | default dict }}
{{- $name := get $notes "meta.helm.sh/release-name" | default "" }}
{{- $namespace := get $notes "meta.helm.sh/release-namespace" | default "" }}
{{- if not (and (eq $name .Release.Name) (eq $namespace .Release.Namespace)) }}
{{- fail (printf "osmo-admission-webhook is installed already, by %s; there is one installation a cluster: upgrade that one, or take it away first" (ternary (printf "release %s in namespace %s" $name $namespace) "other means than Helm" (ne $name ""))) }}
{{- end }}
{{- end }}
{{- end }}
