"""Options of commands that read exporters or a Prometheus: which ones, and who asks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..diagnosis.requests_of_sources import LIMIT, SourceAccess, SourceReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .options import Choice

_CommandT = TypeVar("_CommandT", bound=Callable[..., object])
_PATH = click.Path(path_type=Path, dir_okay=False)

_CREDENTIALS = (
    click.option("--user", metavar="NAME", help="The user for basic auth."),
    click.option("--password-file", type=_PATH, metavar="FILE", help="The file of its password."),
    click.option("--token-file", type=_PATH, metavar="FILE", help="The file of a bearer token."),
)

instead_of_probes = click.option(
    "--exporter",
    "exporters",
    multiple=True,
    metavar="URL",
    help="Probe no server: ask this exporter what the calls of its process see; repeatable.",
)


@dataclass(frozen=True, slots=True)
class SourceCredentials:
    """Who asks a source, as the command line tells it.

    Attributes:
        user: The name for basic auth; None for none.
        password_file: The file of its password.
        token_file: The file of a bearer token.
    """

    user: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None

    def read(self, cafile: str | None) -> SourceAccess:
        """Read the files.

        Args:
            cafile: A file of certificate authorities to trust, in PEM; None for the usual ones.

        Raises:
            OSError: A file can't be read.
        """
        token = _read(self.token_file) or None
        return SourceAccess(self.user, _read(self.password_file), token, cafile)


def _read(file: Path | None) -> str:
    return "" if file is None else file.read_text("utf-8").strip()


def with_credentials(command: _CommandT) -> _CommandT:
    """Decorate a command with the options that let it in; it receives ``credentials``."""

    @functools.wraps(command)
    def with_values(
        *rest: object,
        user: str | None,
        password_file: Path | None,
        token_file: Path | None,
        **values: object,
    ) -> object:
        credentials = SourceCredentials(user, password_file, token_file)
        return command(*rest, credentials=credentials, **values)

    decorated: Callable[..., object] = with_values
    for option in reversed(_CREDENTIALS):
        decorated = option(decorated)
    return decorated  # type: ignore[return-value]


@contextmanager
def open_readers(
    urls: Sequence[str], access: SourceAccess, limit: float = LIMIT
) -> Iterator[list[SourceReader]]:
    """Open a reader of each exporter, and close them at the end; a repeated URL counts once.

    Args:
        urls: The URLs of the exporters.
        access: How they let their readers in.
        limit: Seconds for one answer.

    Raises:
        DiagnosisError: A URL is not one of the web.
        InvalidTLS: The file of authorities can't be read.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(SourceReader(url, access, "exporter", limit))
            for url in dict.fromkeys(urls)
        ]


def check_exporters(
    exporters: Sequence[str], credentials: SourceCredentials, choice: Choice, image: str | None
) -> None:
    """Check that options that concern exporters, and those that concern probes, are not mixed.

    Raises:
        UsageError: They are.
    """
    if not exporters and credentials != SourceCredentials():
        raise click.UsageError("--user, --password-file and --token-file need --exporter")
    probes = (choice.servers, choice.config_file, choice.cloud, choice.insecure, image is not None)
    if exporters and any(probes):
        raise click.UsageError(
            "--exporter probes no server: leave out --server, --config, --os-cloud, --insecure and"
            " --image"
        )
