//! Processes that are killed at a request, as the conformance suite and the proxy of the tests call it.

use stratos_engine::platform::contract::When;
use stratos_test_platforms::Side;

/// The side of a request on which its process is killed.
pub fn side(when: When) -> Side {
    match when {
        When::Before => Side::Before,
        When::After => Side::After,
    }
}
