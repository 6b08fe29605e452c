"""Every option: its default, its environment name, its bounds, and who beats whom."""

from dataclasses import FrozenInstanceError, fields, replace

import click
import pytest

from echo.net.limits import Limits
from echo.protocol.deflate import DeflatePolicy
from echo.protocol.handshake import Origin
from echo.settings import Settings, add_options, options

DEFAULTS = Settings(
    host="127.0.0.1",
    port=8000,
    workers=0,
    certfile=None,
    keyfile=None,
    max_message_size=16_777_216,
    max_connections=10_000,
    receive_budget=268_435_456,
    message_timeout=600.0,
    head_timeout=10.0,
    keep_alive_timeout=100.0,
    ping_interval=20.0,
    ping_timeout=20.0,
    close_timeout=10.0,
    write_timeout=30.0,
    shutdown_timeout=10.0,
    compression="no-context",
    compression_level=1,
    compression_min_size=256,
    subprotocols=(),
    allowed_origins=(),
    trust_proxy=0,
    redis_url="",
    show_credentials=False,
    quiet=False,
    log_format="text",
    metrics="off",
)

#: Field, flag, environment name, a value as text, and what it becomes.
OPTIONS = [
    ("host", "--host", "ECHO_HOST", "::1", "::1"),
    ("port", "--port", "ECHO_PORT", "8080", 8080),
    ("workers", "--workers", "WEB_CONCURRENCY", "4", 4),
    ("certfile", "--certfile", "ECHO_CERTFILE", __file__, __file__),
    ("keyfile", "--keyfile", "ECHO_KEYFILE", __file__, __file__),
    ("max_message_size", "--max-message-size", "ECHO_MAX_MESSAGE_SIZE", "1024", 1024),
    ("max_connections", "--max-connections", "ECHO_MAX_CONNECTIONS", "7", 7),
    ("receive_budget", "--receive-budget", "ECHO_RECEIVE_BUDGET", "4096", 4096),
    ("message_timeout", "--message-timeout", "ECHO_MESSAGE_TIMEOUT", "5.5", 5.5),
    ("head_timeout", "--head-timeout", "ECHO_HEAD_TIMEOUT", "0.5", 0.5),
    ("keep_alive_timeout", "--keep-alive-timeout", "ECHO_KEEP_ALIVE_TIMEOUT", "3", 3.0),
    ("ping_interval", "--ping-interval", "ECHO_PING_INTERVAL", "0", 0.0),
    ("ping_timeout", "--ping-timeout", "ECHO_PING_TIMEOUT", "0", 0.0),
    ("close_timeout", "--close-timeout", "ECHO_CLOSE_TIMEOUT", "2.5", 2.5),
    ("write_timeout", "--write-timeout", "ECHO_WRITE_TIMEOUT", "86400", 86_400.0),
    ("shutdown_timeout", "--shutdown-timeout", "ECHO_SHUTDOWN_TIMEOUT", "0", 0.0),
    ("compression", "--compression", "ECHO_COMPRESSION", "on", "on"),
    ("compression_level", "--compression-level", "ECHO_COMPRESSION_LEVEL", "3", 3),
    ("compression_min_size", "--compression-min-size", "ECHO_COMPRESSION_MIN_SIZE", "0", 0),
    ("subprotocols", "--subprotocol", "ECHO_SUBPROTOCOL", "chat", ("chat",)),
    (
        "allowed_origins",
        "--allow-origin",
        "ECHO_ALLOW_ORIGIN",
        "https://page.example",
        ("https://page.example",),
    ),
    ("trust_proxy", "--trust-proxy", "ECHO_TRUST_PROXY", "2", 2),
    ("redis_url", "--redis-url", "ECHO_REDIS_URL", "redis://:pw@h:1/2", "redis://:pw@h:1/2"),
    ("show_credentials", "--show-credentials", "ECHO_SHOW_CREDENTIALS", "1", True),
    ("quiet", "--quiet", "ECHO_QUIET", "1", True),
    ("log_format", "--log-format", "ECHO_LOG_FORMAT", "json", "json"),
    ("metrics", "--metrics", "ECHO_METRICS", "on", "on"),
]

#: Options of three kinds: a number, one with a type of this service, and one that may be repeated.
KINDS = [option for option in OPTIONS if option[0] in {"port", "ping_timeout", "allowed_origins"}]

#: Bad values of each option, by its flag.
BAD_VALUES = {
    "--host": [""],
    "--workers": ["-1", "1.5", "many"],
    **{key: ["/nowhere/certificate.pem", "/"] for key in ("--certfile", "--keyfile")},
    "--port": ["-1", "65536", "http", "80.0", "0x50", "8 0", "1e3", "9" * 20, ""],
    "--max-message-size": ["0", "-1", "16MiB", "1.5", "1e6", str(2**63), "inf", ""],
    **{
        key: ["0", "-1", "86401", "nan", "inf", "soon"]
        for key in ("--head-timeout", "--keep-alive-timeout", "--close-timeout", "--write-timeout")
    },
    **{
        key: ["-1", "86401", "nan", "soon"]
        for key in ("--ping-interval", "--ping-timeout", "--shutdown-timeout")
    },
    **{key: ["0", "-1", "1.5", "many"] for key in ("--max-connections", "--receive-budget")},
    "--trust-proxy": ["-1", "101", "all", "1.5"],
    "--redis-url": [
        "localhost",
        "http://localhost",
        "redis://localhost:port",
        "redis://localhost:65536",
        "redis://[::1/0",
        "redis://localhost/0?colour=red",
    ],
    "--compression": ["yes", "1", "no_context", "no context", "nocontext"],
    "--compression-level": ["-1", "4", "9", "1.5", "fast"],
    "--compression-min-size": ["-1", "1KiB", "0.5", "none"],
    "--subprotocol": ["a,b", "a/b", "caf\xe9", '"a"', "a=b", "chat a,b", "", "a b"],
    "--allow-origin": [
        "",
        "null",
        "page.example",
        "//page.example",
        "https://",
        "https://page.example/",
        "https://page.example/path",
        "https://page.example:x",
        "https://page.example:65536",
        "https://me@page.example",
        "https://[::1",
        "**",
        "*.example",
        "https://*.page.example",
        "https://page.example,*",
        "https://page.example,https://other.example",
        "http://a.example http://b.example",
        "app://page.example",
    ],
    "--log-format": ["xml"],
    "--metrics": ["yes"],
}

#: The environment name of each flag.
VARIABLES = {flag: variable for _, flag, variable, _, _ in OPTIONS}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """An environment that says nothing about the service, to be filled by the test."""
    for _, _, variable, _, _ in OPTIONS:
        monkeypatch.delenv(variable, raising=False)
    return monkeypatch


def parse(*arguments: str) -> Settings:
    """What a command line says, in the environment of the test."""
    command = add_options(click.Command("server"))
    return Settings.from_context(command.make_context("server", list(arguments)))


def help_text() -> str:
    """What --help shows, on one line."""
    command = add_options(click.Command("server"))
    return " ".join(command.get_help(click.Context(command)).split())


def test_defaults():
    assert parse() == Settings() == Settings.from_environment() == DEFAULTS


def test_every_field_is_an_option_and_in_the_table():
    assert [field.name for field in fields(Settings)] == [name for name, *_ in OPTIONS]
    assert [(option.name, option.opts, option.envvar[0]) for option in options()] == [
        (name, [flag], variable) for name, flag, variable, _, _ in OPTIONS
    ]


@pytest.mark.parametrize(("name", "flag", "variable", "text", "value"), OPTIONS)
def test_an_option_is_set_by_its_flag_and_by_its_variable(
    environment, name, flag, variable, text, value
):
    settings = parse(flag) if value is True else parse(flag, text)
    assert settings == replace(DEFAULTS, **{name: value})
    # What the command line said can be handed to another process.
    with environment.context() as patch:
        for key, said in settings.as_environment().items():
            patch.setenv(key, said)
        assert Settings.from_environment() == settings
    environment.setenv(variable, text)
    assert parse() == Settings.from_environment() == replace(DEFAULTS, **{name: value})


@pytest.mark.parametrize("stale", ["7", " no good / "])
@pytest.mark.parametrize(("name", "flag", "variable", "text", "value"), KINDS)
def test_option_beats_the_environment(environment, name, flag, variable, text, value, stale):
    environment.setenv(variable, stale)
    assert getattr(parse(flag, text), name) == value


@pytest.mark.parametrize("name", ["quiet", "show_credentials"])
def test_a_flag_beats_an_environment_that_says_no(environment, name):
    environment.setenv(f"ECHO_{name.upper()}", "0")
    assert getattr(parse("--" + name.replace("_", "-")), name) is True


def test_empty_variables_are_as_good_as_none(environment):
    for variable in VARIABLES.values():
        environment.setenv(variable, "")
    assert parse() == Settings.from_environment() == DEFAULTS


def refusal(read, *arguments):
    """The exit code and the reason when a value is refused; "" if it is not."""
    try:
        read(*arguments)
    except click.UsageError as error:
        return f"{error.exit_code} {error.format_message()}"
    return ""


@pytest.mark.parametrize("flag", BAD_VALUES)
def test_bad_values_are_refused_with_option_and_variable_named(flag):
    refusals = {value: refusal(parse, flag, value) for value in BAD_VALUES[flag]}
    assert refusals == {
        value: reason
        for value, reason in refusals.items()
        if reason.startswith("2 ")
        and f"'{flag}'" in reason
        and f"'{VARIABLES[flag]}'" in reason
        and "\n" not in reason
    }


def test_every_option_with_a_value_has_bad_ones():
    assert BAD_VALUES.keys() == VARIABLES.keys() - {"--quiet"}


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "http"),
        ("--ping-timeout", "soon"),
        ("--allow-origin", "https://page.example null"),
        ("--quiet", "maybe"),
    ],
)
def test_a_bad_value_in_the_environment_is_refused_like_one_of_the_option(environment, flag, value):
    environment.setenv(VARIABLES[flag], value)
    for read in (parse, Settings.from_environment):
        reason = refusal(read)
        assert f"'{flag}'" in reason
        assert f"'{VARIABLES[flag]}'" in reason


@pytest.mark.parametrize(
    "arguments", [["--prot", "1"], ["8080"], ["--port"], ["--max", "1"], ["--quiet=1"]]
)
def test_command_line_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(click.UsageError) as caught:
        parse(*arguments)
    assert arguments[0].partition("=")[0] in caught.value.format_message()


def test_bounds_of_the_port():
    assert [parse("--port", text).port for text in ("0", "1", "65535")] == [0, 1, 65535]


def test_bounds_of_the_message_size():
    for size in (1, 2**63 - 1):
        settings = parse("--max-message-size", str(size))
        assert settings.max_message_size == settings.limits().max_message_size == size


@pytest.mark.parametrize(
    ("variables", "arguments", "host"),
    [
        ({}, [], "127.0.0.1"),
        ({}, ["--port", "80"], "127.0.0.1"),
        ({"PORT": ""}, [], "127.0.0.1"),
        ({"PORT": "80"}, [], "0.0.0.0"),
        ({"PORT": "0"}, [], "0.0.0.0"),
        ({"PORT": "80"}, ["--port", "81"], "0.0.0.0"),
        ({"PORT": "80", "HOST": ""}, [], "0.0.0.0"),
        ({"PORT": "80", "HOST": "::1"}, [], "::1"),
        ({"PORT": "80", "HOST": "127.0.0.1"}, [], "127.0.0.1"),
        ({"PORT": "80"}, ["--host", "::1"], "::1"),
        ({"PORT": "80"}, ["--host", "127.0.0.1"], "127.0.0.1"),
        ({"PORT": "80", "HOST": "::1"}, ["--host", "localhost"], "localhost"),
        ({"HOST": "::1"}, [], "127.0.0.1"),
        ({"HOST": "x86_64-conda-linux-gnu"}, ["--port", "80"], "127.0.0.1"),
        ({"HOST": "::1", "ECHO_PORT": "80"}, [], "127.0.0.1"),
        ({"ECHO_HOST": "::1"}, [], "::1"),
        ({"ECHO_HOST": "::1", "HOST": "127.0.0.2", "PORT": "80"}, [], "::1"),
    ],
)
def test_default_host_is_local_unless_a_platform_sets_port(environment, variables, arguments, host):
    for variable, value in variables.items():
        environment.setenv(variable, value)
    assert parse(*arguments).host == host
    if not arguments:
        assert Settings.from_environment().host == host


def test_from_environment_does_not_look_at_the_command_line(environment):
    environment.setattr("sys.argv", ["pytest", "--port", "1", "--nonsense"])
    assert Settings.from_environment() == DEFAULTS


def test_quiet_by_environment(environment):
    for text in ("1", "true", "TRUE", "yes", "on", "t", "y"):
        environment.setenv("ECHO_QUIET", text)
        assert parse().quiet is True, text
    for text in ("0", "false", "False", "no", "off", "f", "n"):
        environment.setenv("ECHO_QUIET", text)
        assert parse().quiet is False, text


def test_repeatable_options_keep_their_order():
    settings = parse(
        *("--subprotocol", "b", "--allow-origin", "http://b.example"),
        *("--subprotocol", "a", "--allow-origin", "http://a.example"),
    )
    assert settings.subprotocols == ("b", "a")
    assert settings.allowed_origins == ("http://b.example", "http://a.example")


@pytest.mark.parametrize(
    ("text", "values"), [("b a", ("b", "a")), ("  b\t a ", ("b", "a")), ("b", ("b",)), ("  ", ())]
)
def test_repeatable_option_in_the_environment_is_separated_by_spaces(environment, text, values):
    environment.setenv("ECHO_SUBPROTOCOL", text)
    assert parse().subprotocols == values


def test_repeated_option_replaces_the_values_of_the_environment(environment):
    environment.setenv("ECHO_ALLOW_ORIGIN", "http://a.example http://b.example")
    assert parse().allowed_origins == ("http://a.example", "http://b.example")
    assert parse("--allow-origin", "http://c.example").allowed_origins == ("http://c.example",)


def test_settings_are_frozen_and_have_names_for_everything():
    settings = Settings()
    with pytest.raises(FrozenInstanceError):
        settings.port = 1
    with pytest.raises(TypeError):
        Settings("0.0.0.0")


def test_policy_by_default_takes_any_subprotocol_and_no_foreign_origin():
    handshake = Settings().handshake_policy()
    assert handshake.subprotocols is None
    assert handshake.origins == ()


def test_policy_has_what_the_options_say():
    policy = Settings(
        subprotocols=("a", "b"),
        allowed_origins=("https://Page.example", "http://[::1]:8000"),
    ).handshake_policy()
    assert policy.subprotocols == ("a", "b")
    assert policy.origins == (
        Origin("https", "page.example", 443),
        Origin("http", "::1", 8000),
    )


@pytest.mark.parametrize(
    ("compression", "policy"),
    [
        ("off", None),
        ("no-context", DeflatePolicy(context_takeover=False, level=3, min_size=0)),
        ("on", DeflatePolicy(context_takeover=True, level=3, min_size=0)),
    ],
)
def test_policy_compresses_as_the_options_say(compression, policy):
    settings = Settings(compression=compression, compression_level=3, compression_min_size=0)
    assert settings.handshake_policy().deflate == policy


def test_policy_by_default_compresses_without_a_context():
    assert Settings().handshake_policy().deflate == DeflatePolicy()
    assert not DeflatePolicy().context_takeover


def test_limits_are_what_the_options_say():
    assert Settings().limits() == Limits()
    limits = Settings(max_message_size=5, ping_interval=0.0, write_timeout=7.0).limits()
    assert limits == Limits(max_message_size=5, ping_interval=0.0, write_timeout=7.0)


@pytest.mark.parametrize("origins", [("*",), ("https://page.example", "*")])
def test_policy_lets_all_origins_in_for_a_star(origins):
    assert Settings(allowed_origins=origins).handshake_policy().origins is None


def test_help_shows_options_variables_defaults_units_and_bounds():
    text = help_text()
    shown = [f" {flag} " for flag in VARIABLES]
    shown += [f"env var: {variable}" for variable in VARIABLES.values()]
    shown += ["default: 127.0.0.1", "default: 8000", "default: 16777216", "in bytes"]
    shown += ["0<=x<=65535", "1<=x<=9223372036854775807"]
    shown += ["--subprotocol NAME", "--allow-origin ORIGIN"]
    shown += ["By default HOST where a platform sets PORT"]
    assert [words for words in shown if words not in text] == []


# ---- From one process to another


def test_the_environment_has_several_values(environment):
    arguments = ["--subprotocol", "a", "--subprotocol", "b", "--allow-origin", "*"]
    settings = parse(*arguments, "--port", "0", "--head-timeout", "0.1")
    for key, said in settings.as_environment().items():
        environment.setenv(key, said)
    assert Settings.from_environment() == settings


def test_a_relative_file_is_found_from_another_folder(environment, tmp_path):
    (tmp_path / "certificate.pem").write_text("")
    environment.chdir(tmp_path)
    assert parse("--certfile", "certificate.pem").certfile == str(tmp_path / "certificate.pem")


# ---- TLS


def test_without_files_there_is_no_tls():
    assert Settings().certificate() is None


@pytest.mark.parametrize("arguments", [["--certfile", __file__], ["--keyfile", __file__]])
def test_a_certificate_that_does_not_serve(arguments):
    with pytest.raises(click.UsageError) as caught:
        parse(*arguments).certificate()
    assert "'--certfile'" in caught.value.format_message()
    assert "'ECHO_CERTFILE'" in caught.value.format_message()
