# The embedded model server, which also has ScaNN's operations.
# The context is the root of the repository: docker build -f docker/server.Dockerfile -t tfrec-server .
FROM python:3.10-slim-bookworm AS build

WORKDIR /src
RUN python -m venv /opt/tfrec
ENV PATH=/opt/tfrec/bin:$PATH
# Other packages change seldom, our code often: so they have a layer of their own.
COPY constraints.txt setup.py pyproject.toml README.md LICENSE ./
COPY tfrec/__init__.py tfrec/__init__.py
RUN pip install --no-cache-dir --constraint constraints.txt .
COPY tfrec tfrec
RUN pip install --no-cache-dir --no-deps --force-reinstall . && python -m compileall -q /opt/tfrec/lib

FROM python:3.10-slim-bookworm

COPY --from=build /opt/tfrec /opt/tfrec
COPY --chmod=755 docker/healthcheck.sh /usr/local/bin/healthcheck
ENV PATH=/opt/tfrec/bin:$PATH TF_CPP_MIN_LOG_LEVEL=2

RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent tfrec
USER 10001:10001

EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["healthcheck"]

ENTRYPOINT ["tfrec", "serve", "--host=0.0.0.0", "--port=8500", "--rest_api_port=8501"]
CMD ["--model_config_file=/config/models.config", "--monitoring_config_file=/config/monitoring.config", \
     "--model_config_file_poll_wait_seconds=60", "--grpc_max_threads=64", "--enable_grpc_healthcheck_service"]
