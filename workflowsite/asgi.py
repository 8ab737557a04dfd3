"""The ASGI entry point: HTTP by Django, WebSockets by Channels."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
http = get_asgi_application()  # loads the apps, which what follows imports

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from runs.consumers import NoSuchSocket, RunConsumer  # noqa: E402
from runs.stream.transport import with_connection  # noqa: E402

sockets = URLRouter(
    [
        path("ws/graph/run/<str:run_id>", RunConsumer.as_asgi()),
        re_path("", NoSuchSocket.as_asgi()),
    ]
)

application = ProtocolTypeRouter({"http": http, "websocket": with_connection(sockets)})
