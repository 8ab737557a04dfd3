"""Django settings. What may differ between installations comes from `workflowsite.environment`."""

import os
import secrets
import sys
import tempfile
import warnings
from pathlib import Path

import dj_database_url
from django.templatetags.static import static
from django.urls import reverse_lazy
from dotenv import load_dotenv

from workflowsite.environment import read_environment

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
VAR_DIR.mkdir(exist_ok=True)

load_dotenv(BASE_DIR / ".env")  # what is set already wins
ENVIRONMENT, WORKFLOW = read_environment()

DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)


def _development_secret() -> str:
    """One random key for all processes of a development installation, made at the first start."""
    path = VAR_DIR / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()


if ENVIRONMENT.secret_key is not None:
    SECRET_KEY = ENVIRONMENT.secret_key.get_secret_value()
elif DEBUG or "pytest" in sys.modules:
    SECRET_KEY = _development_secret()
else:
    sys.exit("Set SECRET_KEY to at least 32 random characters, or DEBUG=1 for development.")

INSTALLED_APPS = [
    "daphne",
    "unfold.apps.BasicAppConfig",
    "workflowsite.apps.SiteAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "tools",
    "graphs",
    "runs",
    "django_q",  # after runs, whose qcluster command replaces its own
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "workflowsite.middleware.content_security_policy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "workflowsite.middleware.measure_chunked_bodies",
    "workflowsite.middleware.NotFoundPages",
]

ROOT_URLCONF = "workflowsite.urls"
ASGI_APPLICATION = "workflowsite.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"site": "workflowsite.tags"},
        },
    }
]

DATABASES = {"default": dj_database_url.parse(ENVIRONMENT.database_url or f"sqlite:///{VAR_DIR / 'workflow.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    # WAL lets readers and the writer work side by side; IMMEDIATE takes the write lock at BEGIN, so that the
    # busy timeout applies (a deferred transaction that upgrades fails at once with "database is locked").
    _database["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            f"PRAGMA journal_mode=WAL;PRAGMA synchronous={WORKFLOW.sqlite_synchronous};PRAGMA mmap_size=0;"
        ),
    }
    # A file, because drivers and consumers under test open connections of their own; one for each test process.
    _database["TEST"] = {"NAME": str(Path(tempfile.gettempdir()) / f"workflow-test-{os.getpid()}.sqlite3")}
else:
    # A server that cannot be reached any more says nothing, and TCP would wait for it for a quarter of an hour: so long
    # a driver would not notice that its lease is lost. What the URL says wins.
    _silence_s = max(2, round(WORKFLOW.lease_s / 3))
    _database["OPTIONS"] = {
        "connect_timeout": _silence_s,
        "keepalives_idle": _silence_s,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": _silence_s * 1000,
        **_database.get("OPTIONS", {}),
    }
    if WORKFLOW.postgres_pool_size:
        # Each request runs in a thread of its own; a pool spares it the making of a connection.
        _database["OPTIONS"]["pool"] = {"min_size": 1, "max_size": WORKFLOW.postgres_pool_size, "timeout": 10}

_redis_cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": ENVIRONMENT.redis_url}
CACHES = {
    "default": (
        _redis_cache if ENVIRONMENT.redis_url else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    ),
    # What tools have computed (`runs.driver.reuse`). All processes share it, so local memory would not do.
    "results": (
        {**_redis_cache, "KEY_PREFIX": "results"}
        if ENVIRONMENT.redis_url
        else {"BACKEND": "runs.store.table_cache.TableCache"}
    ),
}

# django-q2 takes "no timeout" for a mistake beside any retry, and says so at every start of every process.
warnings.filterwarnings("ignore", message="Retry and timeout are misconfigured")

# django-q2 is the pool of processes that drivers live in. Its tickets carry no work: one attempt, acknowledged
# whatever happens, no result kept, no time limit (a driver runs until it is told to stop).
Q_CLUSTER = {
    "name": "workflow",
    "ALT_CLUSTERS": {},  # each supervised cluster has a queue of its own, named by Q_CLUSTER_NAME
    "workers": WORKFLOW.workers + 1,  # and one for the quarantine
    "queue_limit": 0,  # a full queue would keep the guard from telling its workers to stop
    "log_level": "WARNING",
    "timeout": None,
    "retry": 2**31 - 1,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "label": "Workflow engine",
    "broker_class": "runs.dispatch.RedisTickets" if ENVIRONMENT.redis_url else "runs.dispatch.DatabaseTickets",
    **({"redis": ENVIRONMENT.redis_url} if ENVIRONMENT.redis_url else {"orm": "default", "poll": 0.2}),
}

# Django's own handlers would write each record a second time in development mode, and nowhere outside of it. The root's
# handler is that of manage.py or of the web server.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django": {"handlers": [], "level": "WARNING"}},
}

UNFOLD = {
    "SITE_TITLE": "Workflow engine",
    "SITE_HEADER": "Workflow engine",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("site/favicon.svg")}],
    "SIDEBAR": {
        "show_all_applications": True,
        "navigation": [
            {
                "title": "Engine",
                "items": [
                    {"title": "Graphs", "icon": "account_tree", "link": reverse_lazy("admin:graphs_graph_changelist")},
                    {
                        "title": "Versions",
                        "icon": "history",
                        "link": reverse_lazy("admin:graphs_graphversion_changelist"),
                    },
                    {"title": "Runs", "icon": "play_circle", "link": reverse_lazy("admin:runs_run_changelist")},
                    {"title": "Tasks", "icon": "how_to_reg", "link": reverse_lazy("admin:runs_humantask_changelist")},
                    {"title": "Tools", "icon": "build", "link": reverse_lazy("admin:tools")},
                ],
            }
        ],
    },
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STATICFILES_DIRS = [path for path in (BASE_DIR / "static", BASE_DIR / "frontend" / "dist") if path.exists()]
WHITENOISE_USE_FINDERS = True

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = ENVIRONMENT.https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.https else None
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if ENVIRONMENT.https else 0
X_FRAME_OPTIONS = "DENY"

LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

DATA_UPLOAD_MAX_MEMORY_SIZE = WORKFLOW.max_request_bytes
# The admin shows a definition row by row: up to 200 nodes with their edges are one form.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.ActorAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.api.permissions.HasRole"],
    "DEFAULT_PARSER_CLASSES": ["workflowsite.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "workflowsite.openapi.ShortNames",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "workflowsite.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Workflow engine",
    "DESCRIPTION": "Graphs of Python functions, run durably. Errors have one shape: "
    '`{"error": {"code", "message", "details": [{"path", "code", "message", "node"}]}}`.',
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "workflowsite.openapi.describe_errors",
    ],
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": "runs.models.Run.Status",
        "StepStatus": "runs.models.Step.Status",
        "VersionStatus": "graphs.models.GraphVersion.Status",
    },
}
