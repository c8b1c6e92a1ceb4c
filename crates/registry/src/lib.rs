//! Asks image registries, with the credentials of the Docker configuration.
