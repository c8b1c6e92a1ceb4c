//! Differences that are none, and that other tools are known to show: a plan right after an apply is empty however something is
//! spelled, asks the cluster for lists and the record alone, and a real change of the same field is seen. The live object holds
//! what the file declares.
//!
//! Each folder of `tests/false_differences` is one situation; its README describes the files. Situations that need a program of
//! their own are modules of this one.

mod situation;
mod webhooks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/false_differences")
}

/// A test for each folder, in the order of the alphabet.
macro_rules! situations {
    ($($name:ident)*) => {
        const ALL: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                situation::run(&folder().join(stringify!($name).replace('_', "-"))).await;
            }
        )*
    };
}

situations! {
    a_number_of_instances_that_an_autoscaler_has
    defaults_that_are_said_later
    defaults_that_are_said_no_more
    objects_in_a_list
    ports_without_a_protocol_and_one_number_with_two
    quantities_in_custom_resources_are_texts
    quantities_in_every_spelling
    registrations_of_webhooks_and_definitions
    rules_of_roles
    secrets_as_text_and_as_data
    the_order_of_lists
    what_generators_write
    what_is_there_and_says_nothing
    what_kubectl_apply_has_left
}

#[test]
fn each_folder_is_a_situation_in_the_list() {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let folders: BTreeSet<String> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(folders, ALL.iter().map(|name| name.replace('_', "-")).collect::<BTreeSet<_>>());
    assert!(ALL.is_sorted());
}
