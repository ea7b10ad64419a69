//! Two servers beside one another against a real API server, named by the kubeconfig in
//! `SILICA_TEST_KUBECONFIG`.
//!
//! The servers are whole, with sockets, watches and the rights of an installation. The test
//! plays the controller and the daemons inside of the sandboxes, so no node is needed and the
//! order of events is certain.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod claims;
mod failures;
mod harness;
mod life;
mod repeated;

use harness::Harness;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_a_real_api_server() {
    let Some(harness) = Harness::connect().await else {
        return;
    };
    claims::every_sandbox_gets_one_owner(&harness).await;
    claims::an_empty_pool_says_so(&harness).await;
    claims::a_timeout_begins_when_a_new_sandbox_is_ready(&harness).await;
    claims::metadata_become_annotations(&harness).await;
    life::a_sandbox_is_known_to_both_and_dies_for_both(&harness).await;
    life::a_pause_and_the_way_back(&harness).await;
    life::a_connect_never_shortens_a_life(&harness).await;
    life::a_restarted_container_is_told_again(&harness).await;
    repeated::calls_at_both_servers_get_one_sandbox(&harness).await;
    repeated::a_client_that_went_away_finds_its_sandbox(&harness).await;
    repeated::a_call_for_a_sandbox_that_starts_waits_for_it(&harness).await;
    failures::a_client_that_goes_away_leaves_nothing(&harness).await;
    failures::a_claim_whose_answer_was_lost_leaves_nothing(&harness).await;
    failures::a_sandbox_that_failed_is_deleted_or_kept(&harness).await;
    failures::a_broken_template_ends_the_call_at_once(&harness).await;
    harness.clean_up().await;
}
