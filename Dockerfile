# openvidu-bot in a small image: packages by hash, compiled, nobody's root, fine with a read-only file system.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS packages
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.txt ./
# Where packages come from is for whoever builds: --build-arg PIP_INDEX_URL=..., and --secret id=pip,src=pip.conf for one with a login.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    python -m venv /venv && /venv/bin/pip install --require-hashes --requirement requirements.txt
COPY bot bot
COPY config config
COPY handlers handlers
COPY services services
COPY simulators simulators
# pydo without its .pyc files costs 2 s and 318 MB at each start.
RUN echo /app > "$(/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/openvidu-bot.pth" \
    && printf '#!/bin/sh\nexec /venv/bin/python -m bot "$@"\n' > /venv/bin/openvidu-bot && chmod 755 /venv/bin/openvidu-bot \
    && /venv/bin/python -m compileall -q /venv/lib /app

FROM python:${PYTHON}-slim-bookworm
RUN groupadd --system --gid 10001 bot \
    && useradd --system --uid 10001 --gid bot --no-create-home --home-dir /state bot \
    && install -d -o bot -g bot -m 700 /state
COPY --from=packages /venv /venv
COPY --from=packages /app /app
WORKDIR /app
# Written bytecode would be lost with a read-only file system; it is there already.
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/state XDG_STATE_HOME=/state \
    OPENVIDU_BOT_CONFIG=/config/settings.yaml
USER 10001:10001
VOLUME /state
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "\
import os, urllib.request; \
urllib.request.urlopen(os.environ.get('OPENVIDU_BOT_HEALTH', 'http://127.0.0.1:8080/healthz'), timeout=4).read()"]
ENTRYPOINT ["openvidu-bot"]
CMD ["serve"]
