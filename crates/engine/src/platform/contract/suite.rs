//! The list of all cases: one macro makes a `#[test]` of each.

/// Makes the conformance suite of a platform: `contract_suite!(module_name: SubjectType);`.
#[macro_export]
macro_rules! contract_suite {
    ($name:ident: $subject:ty) => {
        mod $name {
            #[allow(unused_imports, reason = "a subject may be in scope already")]
            use super::*;

            $crate::contract_suite!(@cases $subject, plans:
                nothing_to_do, empty_plan_after_apply, removal_of_an_app, removal_of_an_app_and_its_dependency,
                volumes_are_held, the_last_app_is_held, deletions_over_the_budget_are_held, destroy_leaves_nothing,
                protection_outlives_the_entry, a_saved_plan_applies, a_stale_plan_is_refused,
                an_edit_after_the_plan_is_refused, what_was_added_by_hand_is_removed, an_app_is_renamed, a_volume_is_renamed, two_appliers_at_once,
                an_older_revision_is_refused, a_restart_changes_nothing_else, what_is_forgotten_runs_on);
            $crate::contract_suite!(@cases $subject, ownership:
                an_object_moves_between_apps, what_is_not_ours_is_not_touched, adoption, an_object_made_later_is_not_overwritten, a_gap_holds);
            $crate::contract_suite!(@cases $subject, health:
                failing_health, a_crash_loop, a_missing_image_or_command, what_never_settles_is_given_up, a_taken_port, a_missing_network,
                a_rollback_is_a_failure, a_restart_of_what_is_broken_is_no_success, dependencies_come_first,
                dependents_of_a_failure_are_skipped, bound_apps_follow);
            $crate::contract_suite!(@cases $subject, live: another_client_reads_what_is_declared);
            $crate::contract_suite!(@cases $subject, secrets:
                secret_values_are_nowhere, errors_tell_no_secret, a_rotated_secret_is_seen,
                a_missing_value_is_not_verified, a_secret_edited_by_hand_is_repaired, a_secret_beside_an_address);
            $crate::contract_suite!(@cases $subject, crash: a_life_killed_at_each_call);
            $crate::contract_suite!(@fields $subject:
                image Image, command Command, replicas Replicas, ports Ports, ports_publish PortsPublish,
                ports_udp PortsUdp, env Env, files Files, files_mode FilesMode, health_http HealthHttp,
                health_tcp HealthTcp, health_command HealthCommand, health_live HealthLive, resources_cpu ResourcesCpu,
                resources_cpu_limit ResourcesCpuLimit, resources_memory ResourcesMemory, volumes Volumes,
                volumes_size VolumesSize, volumes_shared VolumesShared, bind Bind, depends_on DependsOn,
                rollout_strategy RolloutStrategy, rollout_max_surge RolloutMaxSurge,
                rollout_max_unavailable RolloutMaxUnavailable, rollout_timeout RolloutTimeout,
                rollout_on_failure RolloutOnFailure, protect Protect);
        }
    };
    (@cases $subject:ty, $part:ident: $($case:ident),* $(,)?) => {
        mod $part {
            #[allow(unused_imports, reason = "a subject may be in scope already")]
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::platform::contract::run::<$subject>(async |s| $crate::platform::contract::$part::$case(s).await);
                }
            )*
        }
    };
    (@fields $subject:ty: $($name:ident $field:ident),* $(,)?) => {
        mod fields {
            #[allow(unused_imports, reason = "a subject may be in scope already")]
            use super::*;
            use $crate::platform::{Field, contract};
            $(
                #[test]
                fn $name() {
                    contract::run::<$subject>(async |s| contract::fields::one_field(s, Field::$field).await);
                }
            )*

            #[test]
            fn no_field_is_forgotten() {
                assert_eq!([$(Field::$field),*], Field::ALL);
            }
        }
    };
}
