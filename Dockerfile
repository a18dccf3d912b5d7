# Serves a run folder on a CPU: docker build -t tunesmith . && docker compose up
FROM python:3.11-slim-bookworm

RUN useradd --create-home --uid 1000 tunesmith
WORKDIR /app

# The dependencies first: they change less often than the source. torch comes without CUDA.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir tunesmith recipes && touch tunesmith/__init__.py \
    && pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c constraints.txt '.[serve]' \
    && pip uninstall --yes tunesmith && rm -r tunesmith

COPY tunesmith tunesmith
COPY recipes recipes
RUN pip install --no-cache-dir --no-deps .

USER 1000
ENV HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
ENTRYPOINT ["tunesmith", "serve", "--host", "0.0.0.0", "--keys", "/run/secrets/keys"]
CMD ["/runs/first", "--allow-host", "localhost"]
