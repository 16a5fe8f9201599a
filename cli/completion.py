"""`hansa completion`: completion for the common shells, made by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      source <(hansa completion bash)
      hansa completion zsh > ~/.zfunc/_hansa
      hansa completion fish > ~/.config/fish/completions/hansa.fish
    """
    script = get_completion_class(shell)
    assert script is not None, "click knows these shells"
    click.echo(script(ctx.find_root().command, {}, "hansa", "_HANSA_COMPLETE").source())
