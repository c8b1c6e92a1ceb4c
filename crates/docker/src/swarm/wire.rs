//! Services and tasks as the engine writes them.
//!
//! The client reads a service's health check under another name (`HealthCheck`) than the engine writes it
//! (`Healthcheck`), and so never finds one. It writes it so that every engine reads it.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::{Service, Task};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::Connection;

/// The services that filters let through.
pub(crate) async fn services(connection: &Connection, filters: &HashMap<String, Vec<String>>) -> Result<Vec<Service>, Error> {
    read(connection.get("/services", &[("filters", serde_json::to_string(filters)?)]).await?)
}

/// One service, by its name or id.
pub(crate) async fn service(connection: &Connection, name: &str) -> Result<Service, Error> {
    read(connection.get(&format!("/services/{name}"), &[]).await?)
}

/// The tasks that filters let through.
pub(crate) async fn tasks(connection: &Connection, filters: &HashMap<String, Vec<String>>) -> Result<Vec<Task>, Error> {
    read(connection.get("/tasks", &[("filters", serde_json::to_string(filters)?)]).await?)
}

fn read<T: DeserializeOwned>(mut value: Value) -> Result<T, Error> {
    rename(&mut value);
    Ok(serde_json::from_value(value)?)
}

/// Gives health checks the name that the client knows, wherever a container's specification is.
fn rename(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if name != "ContainerSpec" {
                    rename(field);
                } else if let Some(check) = field.as_object_mut().and_then(|inside| inside.remove("Healthcheck")) {
                    field["HealthCheck"] = check;
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When the client knows it by itself, this module can go.
    #[test]
    fn the_client_does_not_find_a_health_check_by_itself() {
        let written =
            serde_json::json!({ "Spec": { "TaskTemplate": { "ContainerSpec": { "Healthcheck": { "Test": ["CMD", "true"] } } } } });
        let check = |service: Service| service.spec?.task_template?.container_spec?.health_check;
        assert!(check(serde_json::from_value(written.clone()).unwrap()).is_none());
        assert!(check(read(written).unwrap()).is_some());
    }
}
