# The program alone, for a user who is not root. Build: docker build -t stratos .
# For the project in this folder: docker run --rm --user "$(id -u)" -v "$PWD:/home/stratos/project" stratos plan
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --package stratos && mv target/dist/stratos /stratos && rm -rf target

FROM debian:bookworm-slim
# Certificates for registries and engines behind TLS, ssh for engines whose url begins with ssh://.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates openssh-client && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home stratos && install --directory --owner=stratos /home/stratos/project
COPY --from=build /stratos /usr/local/bin/stratos
# A number, so that whoever runs it can see that it is not root.
USER 10001
WORKDIR /home/stratos/project
ENTRYPOINT ["stratos"]
CMD ["--help"]
