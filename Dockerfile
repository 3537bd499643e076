# The image: Node, the C libraries it is linked to, the program and its production dependencies, and nothing else.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# docs/image.md says what is in it, and what was tried.

# npm, and Debian's C libraries. The Node of the image is not this one but the one that package-lock.json pins.
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-bookworm

# Files of the target's architecture. Nothing is run in it, so that no emulator is needed.
FROM $BUILD_IMAGE AS system

FROM --platform=$BUILDPLATFORM $BUILD_IMAGE AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH
RUN --mount=type=bind,from=system,source=/,target=/system \
    npm run rootfs -- --arch "$TARGETARCH" --system /system --out /rootfs

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="osmo-admission-webhook" \
      org.opencontainers.image.description="Admission webhook for NVIDIA OSMO backends" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build /rootfs /
ENV NODE_ENV=production
# By number, so that a kubelet can tell that it is not root.
USER 65532:65532
WORKDIR /app
EXPOSE 8443 8080
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/main.js"]
