# TensorFlow's own model server, for bundles in TensorFlow's own operations: see `servers` in a bundle's manifest.
# The context is the root of the repository: docker build -f docker/serving.Dockerfile -t tfrec-serving .
FROM tensorflow/serving:2.16.1

COPY --chmod=755 docker/healthcheck.sh /usr/local/bin/healthcheck

# Any id will do: the server only reads, and models and configs must be readable for it.
USER 10001:10001

EXPOSE 8500 8501
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["healthcheck"]

# The image's own entry point names one model on the command line; the rendered files name them all.
ENTRYPOINT ["tensorflow_model_server", "--port=8500", "--rest_api_port=8501"]
CMD ["--model_config_file=/config/models.config", "--monitoring_config_file=/config/monitoring.config", \
     "--model_config_file_poll_wait_seconds=60", "--grpc_max_threads=64", "--enable_grpc_healthcheck_service"]
