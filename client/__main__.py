"""grpc_discovery's command line with KillrVideo's settings and short names: `python -m client list`, watch, call, wait, advertise.

    python -m client list                                     services, instances, their health, since when
    python -m client watch [SERVICE …]                        the same, live; in a pipe one line for each change
    python -m client call VideoCatalogService GetLatestVideoPreviews '{"page_size": 5}'
    python -m client wait [SERVICE …] --timeout 60            until each has an instance that serves
    python -m client advertise web 10.0.75.1:3000 [--while COMMAND …]
    python -m client sd                                       targets of all seven for Prometheus, over HTTP

A service may be named in full (CommentsService) or in short (comments).
"""

import sys

from common.catalogue import SERVICES, TRACE_KEY
from common.settings import Settings
from grpc_discovery.cli.main import main

SHORT_NAMES = {known.slug: known.full_name for known in SERVICES.values()}

if __name__ == "__main__":
    # Importing the package has loaded the descriptors of all services, so that no server is asked for them.
    sys.exit(main(program="python -m client", load=Settings.load, short_names=SHORT_NAMES, trace_key=TRACE_KEY))
