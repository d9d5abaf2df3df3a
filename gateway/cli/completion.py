"""`completion`: what makes a shell complete commands, options and configured names."""

import click
from click.shell_completion import get_completion_class

from gateway.core.errors import GatewayError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    For bash: source <(gateway completion bash)
    """
    found = get_completion_class(shell)
    if found is None:
        raise GatewayError(f"no completion for {shell}")
    click.echo(found(context.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
