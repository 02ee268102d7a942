"""What probes tell of services. Names of established exporters are kept, with a label ``service`` in front, because
one node may run several of a kind: blackbox_exporter's (``probe_*``), redis_exporter's, postgres_exporter's,
nginx-prometheus-exporter's, Kong's plugin's, and those that public exporters of Ollama and ComfyUI agree on."""

from __future__ import annotations

from exporters.catalog.metric import Kind, Metric


def _of(name: str, text: str, *labels: str, kind: Kind = "gauge") -> Metric:
    return Metric(name, kind, text, ("service", *labels))


# The common picture.
STATE = _of(
    "tierwatch_service_state",
    "1 for the state the service is in (up, degraded, down, unknown), 0 for the others.",
    "kind",
    "state",
)
PROBLEM = _of("tierwatch_service_problem", "1 while the service is not simply up, with the reason.", "kind", "reason")
CHECKED = _of("tierwatch_service_last_check_timestamp_seconds", "When the last check of the service ended.", "kind")
CHECKS = _of("tierwatch_service_checks_total", "Checks of the service since the exporter started.", kind="counter")
CHANGES = _of(
    "tierwatch_service_state_changes_total",
    "Times the state changed since the exporter started; a restart within the grace of the service is none.",
    kind="counter",
)
PROBE_SUCCESS = _of("probe_success", "Displays whether or not the probe was a success: 0 when down, absent if unknown.")
PROBE_DURATION = _of("probe_duration_seconds", "Returns how long the probe took to complete in seconds.")

HTTP_STATUS = _of("probe_http_status_code", "Response HTTP status code.")
HTTP_PHASES = _of(
    "probe_http_duration_seconds",
    "Duration of http request by phase (connect, tls: only when a connection is new; processing, transfer).",
    "phase",
)
CERTIFICATE_EXPIRY = _of(
    "probe_ssl_earliest_cert_expiry", "Returns the expiry of the server's certificate (Unix time)."
)
DNS_LOOKUP = _of("probe_dns_lookup_time_seconds", "Returns the time taken for the query.")
DNS_ANSWERS = _of("probe_dns_answer_rrs", "Returns number of entries in the answer resource record list.")
DNS_SUCCEEDED = _of("probe_dns_query_succeeded", "Displays whether or not the query was answered without an error.")
ICMP_RTT = _of("probe_icmp_duration_seconds", "Duration of icmp request by phase.", "phase", "target")
ICMP_LOSS = _of("tierwatch_ping_loss_ratio", "Share of the last check's echo requests without a reply.", "target")
HOST_PRESENT = _of("tierwatch_lan_host_present", "1 when the host of the local network answers.", "host")

# Files that something leaves behind when it has run.
BACKUP_TIME = _of("backup_last_success_timestamp_seconds", "When the newest complete backup was written.", "files")
BACKUP_SIZE = _of("backup_last_size_bytes", "Size of the newest complete backup.", "files")
RUN_TIME = _of("tierwatch_last_run_timestamp_seconds", "When the file that a run leaves behind was written.", "files")
DRIFT_ITEMS = _of(
    "tierwatch_configuration_drift_items", "Lines in the file that lists what differs from what is wanted."
)

NGINX_UP = _of("nginx_up", "Status of the last metric scrape.")
NGINX_ACTIVE = _of("nginx_connections_active", "Active client connections.")
NGINX_ACCEPTED = _of("nginx_connections_accepted", "Accepted client connections.", kind="counter")
NGINX_HANDLED = _of("nginx_connections_handled", "Handled client connections.", kind="counter")
NGINX_REQUESTS = _of("nginx_http_requests_total", "Total http requests.", kind="counter")
NGINX_READING = _of("nginx_connections_reading", "Connections where NGINX is reading the request header.")
NGINX_WRITING = _of("nginx_connections_writing", "Connections where NGINX is writing the response back to the client.")
NGINX_WAITING = _of("nginx_connections_waiting", "Idle client connections.")

KONG_UP = _of("kong_up", "1 when Kong answers.")
KONG_DATASTORE = _of("kong_datastore_reachable", "Datastore reachable from Kong, 0 is unreachable.")
KONG_TARGET_HEALTH = _of(
    "kong_upstream_target_health",
    "Health status of targets of upstream. States = healthchecks_off|healthy|unhealthy|dns_error, value is 1 when "
    "state is populated.",
    "upstream",
    "target",
    "address",
    "state",
    "subsystem",
)

GRAFANA_UP = _of("grafana_up", "1 when Grafana answers.")
SONARQUBE_UP = _of("sonarqube_up", "1 when SonarQube's web server answers.")
SONARQUBE_STATUS = _of("sonarqube_status", "1, with the status that SonarQube tells.", "status")
MINIO_HEALING = _of("tierwatch_minio_healing_drives", "Drives that MinIO says it is healing.")

OLLAMA_UP = _of("ollama_up", "1 when Ollama answers.")
OLLAMA_VERSION = _of("ollama_version_info", "A metric with a constant '1' value labeled by version.", "version")
OLLAMA_MODELS = _of("ollama_models", "Models on disk.")
OLLAMA_MODEL_MISSING = _of("tierwatch_ollama_model_missing", "1 for each expected model that is not there.", "model")
OLLAMA_LOADED = _of("ollama_model_loaded", "1 for each model in memory.", "model")
OLLAMA_SIZE = _of("ollama_model_size_bytes", "Memory that a loaded model takes.", "model")
OLLAMA_VRAM = _of("ollama_model_vram_bytes", "The part of it that is GPU memory.", "model")
OLLAMA_LOADS = _of(
    "tierwatch_ollama_model_loads_total",
    "Times a model was in memory that was not at the check before; many are models that push out one another.",
    kind="counter",
)
OLLAMA_REQUESTS = _of(
    "tierwatch_ollama_requests_total",
    "Requests to its models that Ollama has answered since its log is read, by HTTP status; 503: refused, because too "
    "many waited. Only where it runs in a container whose log Docker can read.",
    "code",
    kind="counter",
)
OLLAMA_GPU = _of("ollama_model_gpu_ratio", "Share of a loaded model that is in GPU memory, 0 to 1.", "model")

COMFYUI_UP = _of("comfyui_up", "1 when ComfyUI answers.")
COMFYUI_REMAINING = _of("comfyui_queue_remaining", "Jobs that run or wait.")
COMFYUI_RUNNING = _of("comfyui_queue_running", "1 while a job runs.")
COMFYUI_PENDING = _of("comfyui_queue_pending", "Jobs that wait.")
COMFYUI_RUNNING_SECONDS = _of("tierwatch_comfyui_job_running_seconds", "How long the job that runs was seen running.")
COMFYUI_VRAM_TOTAL = _of("comfyui_vram_total_bytes", "Memory of a device.", "device")
COMFYUI_VRAM_FREE = _of("comfyui_vram_free_bytes", "Free memory of a device, torch's reserve included.", "device")
COMFYUI_INFO = _of("comfyui_info", "A metric with a constant '1' value labeled by version.", "version")
