{{- define "freehold.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "freehold.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "freehold.labels" -}}
{{ include "freehold.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "freehold.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{- define "freehold.claim" -}}
{{- .Values.house.existingClaim | default (printf "%s-house" (include "freehold.name" .)) -}}
{{- end -}}

{{/* What every pod has: no token, no rights, a user by number. */}}
{{- define "freehold.pod" -}}
serviceAccountName: {{ include "freehold.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* And every container. */}}
{{- define "freehold.container" -}}
image: {{ include "freehold.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  # A folder within the volume: at its root a file system may have one of its own, lost+found.
  - { name: house, mountPath: /house, subPath: house }
  - { name: tmp, mountPath: /tmp }
  - { name: settings, mountPath: /settings, readOnly: true }
{{- if .Values.models.existingClaim }}
  - { name: models, mountPath: /models, readOnly: true }
{{- end }}
{{- if .Values.secrets.existingSecret }}
  - { name: secrets, mountPath: /run/secrets/freehold, readOnly: true }
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end -}}

{{- define "freehold.volumes" -}}
- name: house
  persistentVolumeClaim: { claimName: {{ include "freehold.claim" . }} }
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: {{ .Values.tmpSize }} }
- name: settings
  configMap: { name: {{ include "freehold.name" . }} }
{{- with .Values.models.existingClaim }}
- name: models
  persistentVolumeClaim: { claimName: {{ . }}, readOnly: true }
{{- end }}
{{- with .Values.secrets.existingSecret }}
- name: secrets
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
