# syntax=docker/dockerfile:1
# The image of KillrVideo for Python. One image runs everything: the services under supervisord (the default), one of them, all on one
# port, the schema step, the loader, the client, the load test. `docker run --rm killrvideo-python --help` lists what it runs.

# Wheels are built here, so that nothing that only builds (and no cache) comes along.
FROM python:3.11-slim AS wheels
WORKDIR /wheels
COPY requirements.txt requirements.lock ./
RUN pip wheel --no-cache-dir --disable-pip-version-check --require-hashes --wheel-dir . --requirement requirements.lock
# The library of discovery/, built by the pinned backend and nothing else.
COPY requirements-dev.lock /build/
RUN awk '/^[a-z]/ { wanted = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } wanted' /build/requirements-dev.lock > /build/backend.lock \
    && pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --require-hashes --requirement /build/backend.lock
COPY discovery /build/discovery
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir . /build/discovery

# The project with its bytecode: the image's root file system is read-only when it runs.
FROM python:3.11-slim AS source
WORKDIR /app
COPY . .
RUN rm -r discovery requirements* \
    && python -m compileall -q .

FROM python:3.11-slim
ARG VERSION=dev
LABEL org.opencontainers.image.title="KillrVideo for Python" \
      org.opencontainers.image.description="gRPC services that advertise themselves in etcd and keep their data in Cassandra" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-index --find-links=/wheels --requirement=/wheels/requirements.txt /wheels/grpc_discovery-*.whl
# By number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin killrvideo
COPY --from=source /app /app
WORKDIR /app
USER 10001:10001
# A read-only root file system takes no bytecode, and a container's log wants each line at once.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KILLRVIDEO_LISTEN_HOST=0.0.0.0
# Begin: written by `make generate` from common/catalogue.py; edit that.
EXPOSE 8101 8201 8301 8401 8501 8601 8701 8899
# End of what `make generate` writes.
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["python", "-m", "deploy.health"]
ENTRYPOINT ["python", "-m", "deploy.entrypoint"]
CMD ["supervised"]
