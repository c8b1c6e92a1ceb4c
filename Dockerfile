# syntax=docker/dockerfile:1
# The program alone, for a user who is not root. Build: docker build -t stratos .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --locked --profile dist --package stratos && cp target/dist/stratos /stratos

FROM debian:bookworm-slim
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home stratos
COPY --from=build /stratos /usr/local/bin/stratos
USER stratos
WORKDIR /home/stratos/project
ENTRYPOINT ["stratos"]
CMD ["--help"]
