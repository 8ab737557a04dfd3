from django.apps import AppConfig


class ToolsConfig(AppConfig):
    name = "tools"

    def ready(self) -> None:
        from tools import discovery, registry

        registry.find_in(discovery.module_names)
