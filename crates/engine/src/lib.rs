//! The engine of Stratos: a manifest becomes resources, resources are compared with what each platform really holds, the
//! difference is a plan, and the plan is carried out.
//!
//! The modules are listed in the order of that sentence. [`deploy`] is the main path; a reader starts there.

pub mod deploy;

pub mod apply;
pub mod compare;
pub mod desired;
pub mod health;
pub mod observe;

pub mod manifest;
pub mod plan;
pub mod platform;
pub mod render;
mod retry;
