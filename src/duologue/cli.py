"""The command line: `duologue serve | talk | models`.

Arguments in, an exit code out: 0 done, 1 could not (the reason in one line on standard
error), 2 wrong usage. Standard output carries what scripts read (the ready line, paths,
lists), standard error all else. The only module that prints.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial

from duologue import __version__
from duologue.config import DEFAULT_FILE, FILE_VARIABLE, SETTINGS, ServerConfig, load
from duologue.errors import DuologueError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser(arguments[:1] == ["talk"]).parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DuologueError as fault:
        print("duologue:", " ".join(str(fault).split()), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser(talking: bool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="duologue", description="A self-hosted server for live spoken conversation."
    )
    parser.add_argument("--version", action="version", version=f"duologue {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)

    serve = commands.add_parser(
        "serve",
        help="run the server",
        description="Run the server. Every setting can also stand in a TOML file or in a "
        "DUOLOGUE_… variable; the command line wins.",
    )
    serve.set_defaults(command=_serve)
    _add_config(serve)
    for setting in SETTINGS:
        if setting.flag:
            text = setting.description.replace("`", "").replace("%", "%%")
            default = "" if setting.default in (None, "") else f" [{setting.default}]"
            serve.add_argument(setting.flag, dest=setting.key, metavar="VALUE", help=text + default)

    talk = commands.add_parser(
        "talk",
        help="speak to a server",
        description="Speak to a server: a recording or a microphone in, transcripts, a spoken "
        "answer and a latency waterfall out.",
    )
    if talking:  # the other commands need none of what it imports
        from duologue import talk_client

        talk_client.add_arguments(talk)
        talk.set_defaults(command=talk_client.run)

    models = commands.add_parser("models", help="the models that the light engine uses")
    actions = models.add_subparsers(title="actions", required=True)
    _add_action(actions, "list", "every model of the catalogue and its state", _list)
    pull = _add_action(actions, "pull", "bring models, or those of a profile", _pull)
    pull.add_argument("name", nargs="*", help="model, profile or hub id [the profile served]")
    pull.add_argument("--profile", help="the models of this profile")
    path = _add_action(actions, "path", "where a model is, once it is found sound", _path)
    path.add_argument("name")
    verify = _add_action(actions, "verify", "hash models anew", _verify)
    verify.add_argument("name", nargs="*", help="model [all that are present]")
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help=f"settings in TOML [{FILE_VARIABLE}, or {DEFAULT_FILE}]"
    )


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(command=command)
    _add_config(parser)
    parser.add_argument("--models-dir", metavar="VALUE", help="where models are kept")
    return parser


def _settings(options: argparse.Namespace) -> ServerConfig:
    given = {
        setting.key: value
        for setting in SETTINGS
        if (value := getattr(options, setting.key, None)) is not None
    }
    return load(file=options.config, environ=os.environ, flags=given)


def _say(text: str) -> None:
    print("duologue:", text, file=sys.stderr, flush=True)


def _serve(options: argparse.Namespace) -> int:
    config = _settings(options)
    logging.basicConfig(
        level=config.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Read by numpy's OpenBLAS when it is loaded. Matrices here are small, and its threads spin
    # for each other: beside a busy event loop one product then takes milliseconds.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from duologue.gateway.server import new_event_loop, run

    if config.engine == "moshi":
        from duologue.gateway.compose_moshi import check_installed

        check_installed()  # before gigabytes are fetched
    if config.engine in ("light", "chat", "realtime", "moshi"):
        config = _provided(config)
    announce = partial(print, flush=True)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run(config, announce))
    return 0


def _provided(config: ServerConfig) -> ServerConfig:
    from duologue.gateway.provision import provide, store_of
    from duologue.models import ProgressBar, pull

    store = store_of(config)
    with ProgressBar(sys.stderr) as bar:
        return provide(config, store, lambda names: pull(names, store, bar), _say)


def _list(options: argparse.Namespace) -> int:
    from duologue.gateway.provision import store_of
    from duologue.models import list_models

    rows = list_models(store_of(_settings(options)))
    width = max(len(row.name) for row in rows)
    for row in rows:
        size = f"{row.bytes / 1e6:8.1f} MB"
        print(f"{row.name:{width}}  {row.role:8}  {size}  {row.state:8}  {row.licence}")
    return 0


def _pull(options: argparse.Namespace) -> int:
    from duologue.gateway.provision import specs, store_of
    from duologue.models import ProgressBar, pull

    config = _settings(options)
    names = options.name or [*specs(config).values()]
    with ProgressBar(sys.stderr) as bar:
        for path in pull(names, store_of(config), bar).values():
            print(path)
    return 0


def _path(options: argparse.Namespace) -> int:
    from duologue.gateway.provision import store_of
    from duologue.models import resolve

    print(resolve(options.name, store_of(_settings(options))))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from duologue.gateway.provision import store_of

    store = store_of(_settings(options))
    entries = [store.entry(name) for name in options.name] or [
        entry for entry in store.catalogue if store.state(entry) != "missing"
    ]
    failed = 0
    for entry in entries:
        try:
            print(store.verify(entry, fresh=True))
        except DuologueError as fault:
            _say(str(fault))
            failed = 1
    return failed
