"""Finds the routers that the configuration names: `package.module:attribute`, or an installed entry point.

Nothing is scanned: only what is named is imported.
"""

import importlib
import importlib.metadata
from collections.abc import Mapping, Sequence

from gateway.api import Router
from gateway.config.installed import PROVIDERS
from gateway.config.problems import did_you_mean
from gateway.config.settings import RouterSettings, Settings, SourceSettings
from gateway.core.errors import PluginError

ENTRY_POINTS = "gateway.routers"


def import_router(configured: RouterSettings) -> Router:
    """Import one router.

    Raises:
        PluginError: there is no such module, attribute or entry point, importing it fails, or it is no `Router` of the
            name it is configured under.
    """
    found = _from_module(configured) if ":" in configured.use else _from_entry_point(configured)
    label = f"router {configured.name}"
    if not isinstance(found, Router):
        raise PluginError(f"{label}: {configured.use} is a {type(found).__name__}, not a gateway.Router")
    if found.name != configured.name:
        raise PluginError(f"{label}: its own name is {found.name!r}; configure it as `routers: {{{found.name}: ...}}`")
    return found


def import_routers(settings: Settings) -> Mapping[str, Router]:
    """Import all routers, and check that their handlers can match the configured sources.

    Raises:
        PluginError: with a line for each mistake.
    """
    routers: dict[str, Router] = {}
    problems: list[str] = []
    for configured in settings.routers:
        try:
            routers[configured.name] = import_router(configured)
            problems += problems_of(routers[configured.name], settings)
        except PluginError as error:
            problems.append(str(error))
    if problems:
        raise PluginError("\n".join(problems))
    return routers


def problems_of(router: Router, settings: Settings) -> list[str]:
    """Return what keeps the router's handlers from doing on these sources what they are registered for."""
    timeless = [source.name for source in settings.sources if not _tells_time(source)]
    return router.problems(settings.sources, timeless=timeless)


def _tells_time(source: SourceSettings) -> bool:
    """Return whether the source's events can carry a time of their own."""
    if source.provider == "custom":
        return bool(source.event.get("time"))
    return any(shape.time for shape in PROVIDERS[source.provider].shapes)


def _from_module(configured: RouterSettings) -> object:
    module_name, _, attribute = configured.use.partition(":")
    label = f"router {configured.name}"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not _is_part_of(error.name or "", module_name):
            raise PluginError(
                f"{label}: {module_name} needs the module {error.name}, which is not installed"
            ) from error
        remedy = "the current directory is on the path: start where it can be found"
        raise PluginError(f"{label}: there is no module {error.name}; {remedy}") from error
    except Exception as error:  # whatever a plugin does while it is imported, it is the plugin's mistake
        raise PluginError(f"{label}: importing {module_name} failed with {_told(error)}") from error
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, _routers_of(vars(module)))
        raise PluginError(f"{label}: {module_name} has no {attribute}; {hint or 'it defines no router'}")
    return getattr(module, attribute)


def _from_entry_point(configured: RouterSettings) -> object:
    label = f"router {configured.name}"
    installed = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if configured.use not in installed:
        hint = did_you_mean(configured.use, installed) or 'write "package.module:attribute"'
        raise PluginError(f"{label}: no router {configured.use} is installed; {hint}")
    try:
        return installed[configured.use].load()
    except Exception as error:  # as above
        raise PluginError(f"{label}: loading {configured.use} failed with {_told(error)}") from error


def _is_part_of(missing: str, module: str) -> bool:
    return module == missing or module.startswith(f"{missing}.")


def _routers_of(names: Mapping[str, object]) -> Sequence[str]:
    return [name for name, value in names.items() if isinstance(value, Router)]


def _told(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
