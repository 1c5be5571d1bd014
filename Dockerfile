# openvidu-bot in a small image: packages by hash, compiled, an ordinary user, fine with a read-only file system.
#
# Plain Dockerfile syntax: docker (with and without BuildKit), buildah and podman build it. `make image` does, and passes the base by its
# digest, so that the same build twice has the same base. By hand: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
# The builder decides where packages come from: --build-arg PIP_INDEX_URL=..., or a pip.conf beside this file (for an index with a login),
# or files in wheels/ (for a machine that reaches no index). None of it is in the image that is run: that one begins at the second FROM.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONFIG_FILE=/packages/pip.conf
COPY requirements.txt pip.con[f] wheel[s] /packages/
# pip stays in a place of its own, so that it is not part of /venv.
RUN python -m venv /pip && python -m venv --without-pip /venv \
    && /pip/bin/pip --python /venv/bin/python install --no-compile --require-hashes --find-links /packages --requirement /packages/requirements.txt
WORKDIR /app
COPY bot bot
COPY config config
COPY handlers handlers
COPY services services
COPY simulators simulators
COPY scripts/slim.py /packages/
# slim.py: what no bot uses goes, 80 of 130 MB. Compiled, because that takes seconds at each start; unchecked, because an image's time
# stamps need not survive.
# -I: nothing of the folder in which the command is started counts, nor of PYTHONPATH.
RUN echo /app > "$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/openvidu-bot.pth" \
    && printf '#!/bin/sh\nexec /venv/bin/python -I -u -m bot "$@"\n' > /venv/bin/openvidu-bot && chmod 755 /venv/bin/openvidu-bot \
    && /venv/bin/python /packages/slim.py "$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" /app \
    && /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app

FROM ${BASE}
ARG BASE
LABEL org.opencontainers.image.title="openvidu-bot" \
    org.opencontainers.image.version="0.2.0" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${BASE}"
# Nothing is installed here any more: what could do so goes.
RUN groupadd --system --gid 10001 bot \
    && useradd --system --uid 10001 --gid bot --no-create-home --home-dir /state bot \
    && install -d -o bot -g bot -m 700 /state \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
        /usr/local/lib/python3*/site-packages/setuptools* /usr/local/lib/python3*/site-packages/pkg_resources \
        /usr/local/lib/python3*/site-packages/wheel* /usr/local/lib/python3*/site-packages/*distutils*
COPY --from=packages /venv /venv
COPY --from=packages /app /app
WORKDIR /app
# MALLOC_ARENA_MAX: each thread would otherwise keep memory of its own. OPENVIDU_BOT_WATCHDOG: seconds. A bot that hangs, or looks after nothing any more, ends itself, and its container is started again.
ENV PATH=/venv/bin:$PATH HOME=/state XDG_STATE_HOME=/state OPENVIDU_BOT_CONFIG=/config/settings.yaml OPENVIDU_BOT_WATCHDOG=60 MALLOC_ARENA_MAX=1
USER 10001:10001
VOLUME /state
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/venv/bin/python", "-I", "-c", "\
import os, urllib.request; \
urllib.request.urlopen(os.environ.get('OPENVIDU_BOT_HEALTH', 'http://127.0.0.1:8080/healthz'), timeout=4).read()"]
# The first process of a container is sent no signal that it has no handler for. Blocked, a signal waits for the handler.
ENTRYPOINT ["env", "--block-signal=TERM", "--block-signal=INT", "openvidu-bot"]
CMD ["serve"]
