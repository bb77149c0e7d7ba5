# The order manager as an image: `docker build -t nexus-order-manager .`
#
# Node is the process itself, so SIGTERM reaches it; nothing is written below /app, so the root file system may be
# read-only; the user is no root. What is said here holds for every container: production, and all addresses. What a
# person has to say for each deployment is left to it: the parts' addresses, the keys, and app.allow_open_host.
#
# The tag is that of the package `node` in package.json. A release names the digest too, which no tag can move:
#   docker build --build-arg NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:… -t nexus-order-manager .
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No scripts: the one that matters fetches a Node, which the image is. Embedded PostgreSQL is optional, and stays out.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${NODE_IMAGE}
WORKDIR /app
COPY --from=packages /app/node_modules node_modules
COPY package.json config.yaml ./
COPY schema schema
COPY src src
COPY tools/healthy.ts tools/healthy.ts
# /data is for the journal of `simulate-exchange --journal /data`; a volume mounted there takes over its owner.
RUN mkdir .compiled /data && chown 1000:1000 .compiled /data
ENV NODE_COMPILE_CACHE=/app/.compiled \
    NEXUS_APP_ENVIRONMENT=production \
    NEXUS_APP_HOST=0.0.0.0
USER 1000:1000
# Loads the whole program once. The cache belongs to this path, this Node and this user: another of either compiles anew.
RUN ["node", "src/cli.ts", "--version"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "tools/healthy.ts"]
ENTRYPOINT ["node", "src/cli.ts"]
CMD ["serve"]
