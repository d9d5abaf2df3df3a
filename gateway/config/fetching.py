"""`fetch` of a source: the API that its handlers ask, put together from the provider's facts and the operator's."""

from gateway.config.model import FetchSection
from gateway.config.problems import KeyPath
from gateway.config.report import Report
from gateway.core.objects import FetchOptions, Final, ObjectApi, Objects
from gateway.core.provider import Provider


def read_fetch(
    section: FetchSection | None, provider: Provider | None, path: KeyPath, report: Report
) -> FetchOptions | None:
    """Return the options, None without `fetch`; what is wrong is reported."""
    if section is None or provider is None:
        return None
    final = section.final
    options = FetchOptions(
        credential=section.credential,
        hosts=tuple(section.hosts),
        send=section.send,
        url=section.object,
        final=None if final is None else Final(path=final.path, values=tuple(final.values)),
        headers=section.headers,
        rate=section.rate,
        private=section.private,
    )
    try:
        Objects(provider.object_api or ObjectApi(), options)
    except ValueError as error:
        key, _, text = str(error).partition(": ")
        message, _, remedy = text.partition("; ")
        known = (*path, key) in report.document.values
        report.add((*path, key) if known else path, message if known else f"{key}: {message}", remedy)
    return options
