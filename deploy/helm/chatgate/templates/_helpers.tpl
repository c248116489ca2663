{{- define "chatgate.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "chatgate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chatgate.labels" -}}
{{ include "chatgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "chatgate.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* What the process is told besides the configuration file. Secrets are files, so that they are in no environment. */ -}}
{{- define "chatgate.env" -}}
- name: CHATGATE__SERVER__PUBLIC_URL
  value: {{ .Values.publicUrl | default (printf "%s://%s" (ternary "https" "http" (not (empty .Values.tls.existingSecret))) (include "chatgate.name" .)) | quote }}
# For commands that are run in the pod.
- {name: CHATGATE_DATA, value: /data/chatgate}
# An ending pod takes calls for this long, until all that route calls to it know that it ends.
- {name: CHATGATE__LIMITS__DRAIN_DELAY, value: {{ .Values.drainDelay | quote }}}
{{- if .Values.upstream.url }}
- {name: CHATGATE__UPSTREAM__URL, value: {{ .Values.upstream.url | quote }}}
- name: CHATGATE__UPSTREAM__USER
  valueFrom: {secretKeyRef: {name: {{ .Values.upstream.existingSecret }}, key: user}}
- {name: CHATGATE__UPSTREAM__PASSWORD, value: "file:/run/secrets/upstream/password"}
{{- else }}
- {name: CHATGATE__UPSTREAM__SANDBOX, value: "true"}
{{- end }}
{{- if .Values.tls.existingSecret }}
- {name: CHATGATE__SERVER__TLS__CERT, value: /run/secrets/tls/tls.crt}
- {name: CHATGATE__SERVER__TLS__KEY, value: /run/secrets/tls/tls.key}
{{- end }}
{{- if eq .Values.store.kind "postgres" }}
- {name: CHATGATE__STORE__KIND, value: postgres}
- {name: CHATGATE__STORE__URL, value: "file:/run/secrets/store/url"}
{{- if .Values.store.hasDirectUrl }}
- {name: CHATGATE__STORE__DIRECT_URL, value: "file:/run/secrets/store/direct-url"}
{{- end }}
- {name: CHATGATE__STORE__SEAL, value: "file:/run/secrets/store/seal"}
- {name: CHATGATE__STORE__MIGRATE, value: {{ ternary "check" "auto" .Values.store.migrationJob }}}
- {name: CHATGATE__ADMIN__KEY, value: "file:/run/secrets/admin/admin-key"}
- name: CHATGATE__REPLICAS__NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "chatgate.mounts" -}}
- {name: config, mountPath: /etc/chatgate, readOnly: true}
{{- range $secret := include "chatgate.secrets" . | fromYamlArray }}
- {name: {{ $secret.name }}, mountPath: /run/secrets/{{ $secret.name }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "chatgate.secrets" -}}
{{- $secrets := list }}
{{- with .Values.upstream.existingSecret }}{{ $secrets = append $secrets (dict "name" "upstream" "secret" .) }}{{ end }}
{{- with .Values.tls.existingSecret }}{{ $secrets = append $secrets (dict "name" "tls" "secret" .) }}{{ end }}
{{- if eq .Values.store.kind "postgres" }}
{{- $secrets = append $secrets (dict "name" "store" "secret" .Values.store.existingSecret) }}
{{- $secrets = append $secrets (dict "name" "admin" "secret" .Values.admin.existingSecret) }}
{{- end }}
{{- toYaml $secrets }}
{{- end }}

{{- define "chatgate.volumes" -}}
- name: config
  configMap: {name: {{ include "chatgate.name" . }}}
{{- range $secret := include "chatgate.secrets" . | fromYamlArray }}
- name: {{ $secret.name }}
  secret: {secretName: {{ $secret.secret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "chatgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# Otherwise each mount would open the gateway's own folder to the group again, and the gateway would refuse to start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "chatgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
