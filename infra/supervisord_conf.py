"""The text of supervisord.conf: as it is in the checkout (`make generate` writes it there), and moved to other ports for `make run`."""

from common.catalogue import SERVICES, KnownService

GROUP = "killrvideo"

MAX_INSTANCES = 99
"""Instances of one service that supervisord knows; the two last digits of a port count them."""

# For those who start supervisord by hand.
_SOCKET = "/tmp/killrvideo-supervisor.sock"  # noqa: S108  # chmod 0700 below
_PID_FILE = "/tmp/killrvideo-supervisord.pid"  # noqa: S108

_HEAD = """\
; Written by `make generate` from infra/supervisord_conf.py and common/catalogue.py; edit those.
;
; The services, one process an instance, in one group: members of a group are stopped together, so that all drains take the time of one.
;
;   python -m supervisor.supervisord -n -c supervisord.conf       (in the checkout's folder, with the virtual environment's python first in PATH)
;   supervisorctl -c supervisord.conf start {group}:{example}-2  one more instance of {example}, on port {example_port}; `stop` takes it away
;
; Instances count from 1 to {instances}; the first of each service is started, the further ones are there to be started by name. To scale, start and
; stop by name: a changed numprocs with `update` would stop the whole group first. `make run` uses a copy of this file with the ports and the
; socket moved where its settings say.

[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile={pid_file}

[unix_http_server]
file={socket}
chmod=0700

[supervisorctl]
serverurl=unix://{socket}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

; Ends supervisord with exit code 1 on a crash loop, and prints the services' lines with the instance's name.
[rpcinterface:crashloop]
supervisor.rpcinterface_factory=infra.crashloop:make

[group:{group}]
programs={programs}

; setpriv: a service whose supervisord is killed stops in order by itself. startsecs, startretries: an instance that ends four times within 5 s of
; its start is a crash loop. stopwaitsecs: leaving the registry, a second for callers to see it, and up to eight for what is under way.
"""

_PROGRAM = """\
[program:{program}]
command=setpriv --pdeathsig TERM python -m {module}
process_name={slug}-%(process_num)d
environment=KILLRVIDEO_LISTEN_PORT="{hundreds}%(process_num)02d"
numprocs={count}
numprocs_start={start}
autostart={autostart}
autorestart=true
startsecs=5
startretries=3
stopwaitsecs=12
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile=NONE
stdout_events_enabled=true
"""


def render(offset: int = 0, socket: str = _SOCKET, pid_file: str = _PID_FILE) -> str:
    """supervisord.conf with all ports moved by `offset` (whole hundreds), and with this socket and pid file."""
    slugs = [known.slug for known in SERVICES.values()]
    example = next(iter(SERVICES.values()))
    head = _HEAD.format(
        group=GROUP,
        example=example.slug,
        example_port=example.port + 1 + offset,
        instances=MAX_INSTANCES,
        socket=_escaped(socket),
        pid_file=_escaped(pid_file),
        programs=",".join(name for slug in slugs for name in (slug, f"{slug}_further")),
    )
    return head + "\n".join(_programs(known, offset) for known in SERVICES.values())


def _programs(known: KnownService, offset: int) -> str:
    """The two programs of a service: its first instance, which is started, and the further ones, which are started by name."""
    common = {"module": known.module, "slug": known.slug, "hundreds": (known.port + offset) // 100}
    first = _PROGRAM.format(program=known.slug, count=1, start=1, autostart="true", **common)
    further = _PROGRAM.format(
        program=f"{known.slug}_further", count=MAX_INSTANCES - 1, start=2, autostart="false", **common
    )
    return f"{first}\n{further}"


def _escaped(path: str) -> str:
    """A path as supervisord reads it: it puts values in for %(names)."""
    return path.replace("%", "%%")
