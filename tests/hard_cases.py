"""The hard cases of the design (section 6), each with the tests that show how it is decided.

The tests are named by their file below `tests/` and their function.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Case(NamedTuple):
    """What was decided, and the tests of it by file."""

    decided: str
    tests: Mapping[str, Sequence[str]]


CASES: Mapping[int, Case] = {
    1: Case(
        "an append belongs to the log, never to a request",
        {
            "integration/test_edge_durability.py": [
                "test_a_sender_that_leaves_while_its_event_is_appended_has_it_stored_once",
                "test_at_the_deadline_the_answer_is_503_and_the_retry_joins_the_same_append",
                "test_an_outcome_nobody_knows_is_503_and_the_retry_is_appended_anew",
            ],
            "contract/test_log_contract.py": [
                "test_a_waiter_that_gives_up_cancels_nothing",
            ],
            "unit/receive/test_endpoint.py": [
                "test_a_claim_undecided_for_long_is_released_as_unknown",
            ],
            "faults/test_kafka_edges.py": [
                "test_an_edge_killed_at_each_hop_loses_nothing_and_repeats_no_effect",
                "test_a_copy_of_what_is_undecided_is_not_acknowledged_and_the_edge_may_die_with_it",
            ],
            "faults/test_kafka_brokers.py": [
                "test_a_black_holed_broker_costs_its_own_partitions_alone_until_others_lead_them",
                "test_without_brokers_all_are_told_to_come_again_at_once_and_memory_is_bounded",
            ],
        },
    ),
    2: Case(
        "mark first",
        {
            "contract/test_store_contract.py": [
                "test_finished_turn_leaves_mark_and_row",
                "test_begin_of_a_marked_pair_is_already_done",
                "test_two_concurrent_runs_of_one_pair_leave_one_row",
            ],
            "integration/test_worker.py": [
                "test_a_finished_pair_is_marked_and_a_second_copy_is_a_duplicate",
            ],
            "faults/test_state_faults.py": [
                "test_mark_and_rows_are_both_there_or_neither_at_any_crash",
            ],
            "faults/test_kafka_workers.py": [
                "test_what_was_handled_and_not_committed_is_read_again_and_has_its_mark",
                "test_a_worker_that_was_thought_dead_finds_the_mark_of_the_one_that_took_over",
            ],
            "faults/test_kafka_brokers.py": [
                "test_answers_lost_after_the_brokers_appended_leave_copies_in_the_log_alone",
            ],
        },
    ),
    3: Case(
        "a transaction is a turn",
        {
            "contract/test_store_contract.py": [
                "test_turns_come_one_at_a_time_in_the_order_of_asking_or_all_side_by_side",
                "test_turn_over_its_limit_is_undone_and_revoked_and_the_next_begins",
            ],
            "contract/test_store_statements.py": [
                "test_statement_beyond_a_handlers_reach_is_refused",
            ],
            "unit/keep_state/test_committer.py": [
                "test_many_turns_share_a_commit",
            ],
            "integration/test_worker_limits.py": [
                "test_a_transaction_held_too_long_is_rolled_back_and_the_run_fails",
            ],
        },
    ),
    4: Case(
        "a lane is a handler's key",
        {
            "integration/test_worker.py": [
                "test_a_failing_handler_costs_its_neighbours_nothing",
            ],
            "integration/test_worker_identity.py": [
                "test_a_parked_pair_follows_a_rename_and_dies_with_its_handler",
                "test_a_mark_under_a_former_name_counts",
            ],
            "integration/test_processes.py": [
                "test_a_handler_added_to_a_known_router_begins_where_the_router_stands",
            ],
        },
    ),
    5: Case(
        "marks in Postgres beside the embedded log",
        {
            "integration/test_embedded_with_postgres.py": [
                "test_effects_and_marks_are_in_postgres_and_the_cursor_stays_beside_the_log",
                "test_a_killed_worker_repeats_no_effect",
            ],
        },
    ),
    6: Case(
        "a log has an id",
        {
            "integration/test_processes.py": [
                "test_a_restored_older_log_is_refused_with_the_remedy",
                "test_an_unknown_log_is_handled_from_its_beginning_with_an_alarm",
            ],
            "unit/keep_state/test_state.py": [
                "test_lost_position_is_an_error_and_no_reset",
            ],
        },
    ),
    7: Case(
        "retention keeps what is needed",
        {
            "unit/keep/test_retention.py": [
                "test_an_active_router_keeps_what_it_has_not_handled",
                "test_a_running_replay_keeps_what_it_has_not_read",
            ],
            "contract/test_parking_contract.py": [
                "test_parked_pair_comes_whole_when_its_time_has_come",
            ],
            "unit/keep/test_log_upkeep.py": [
                "test_a_running_log_keeps_to_its_size_and_knows_the_ids_of_what_is_gone",
            ],
            "faults/test_disk.py": [
                "test_an_id_is_forgotten_after_its_window_when_time_really_passed",
            ],
            "faults/test_space.py": [
                "test_what_retention_removes_before_a_stopped_router_came_to_it_is_a_named_and_counted_gap",
            ],
            "faults/test_kafka_operations.py": [
                "test_what_retention_took_from_a_stopped_router_is_said_and_counted",
            ],
        },
    ),
    8: Case(
        "a replay runs what is missing by default",
        {
            "integration/test_worker_replay.py": [
                "test_missing_runs_only_what_has_no_mark_and_clears_its_dead_letter",
                "test_force_runs_again_once_for_the_named_handler_alone",
            ],
            "unit/cli/test_commands.py": [
                "test_a_forced_replay_asks_first",
            ],
            "integration/test_processes_commands.py": [
                "test_a_forced_replay_runs_everything_that_fits_once_more",
            ],
        },
    ),
    9: Case(
        "crash blame",
        {
            "integration/test_worker_caution.py": [
                "test_after_an_unclean_end_pairs_run_alone_until_the_old_window_is_through",
                "test_a_pair_that_crashed_three_times_alone_is_a_dead_letter_and_its_neighbour_runs",
            ],
            "integration/test_worker_limits.py": [
                "test_after_its_timeout_a_run_can_use_nothing_and_what_it_wrote_is_gone",
            ],
            "faults/test_handlers.py": [
                "test_a_handler_in_trouble_is_a_dead_letter_with_its_reason_and_nothing_more",
            ],
            "faults/test_workers.py": [
                "test_workers_whose_loop_stands_still_are_replaced_and_nothing_else_is_held_up",
            ],
            "faults/test_kafka_operations.py": [
                "test_an_event_that_kills_each_worker_is_a_dead_letter_after_a_few_and_nothing_else_is",
            ],
        },
    ),
    10: Case(
        "readers of a live database are read-only",
        {
            "unit/keep/test_connection.py": [
                "test_a_reader_cannot_write",
                "test_the_bundled_sqlite_is_free_of_the_wal_reset_bug",
                "test_a_writer_is_durable_at_every_commit_and_checkpoints_only_when_told",
            ],
        },
    ),
    11: Case(
        "one owner",
        {
            "integration/test_processes.py": [
                "test_a_second_gateway_on_the_same_log_ends_with_3_and_names_the_first",
            ],
            "faults/test_kill.py": [
                "test_a_killed_supervisor_takes_its_children_along_and_the_next_start_loses_nothing",
            ],
            "faults/test_edge.py": [
                "test_while_the_edge_is_dead_senders_wait_and_none_is_refused",
            ],
        },
    ),
    12: Case(
        "before verification only bytes are held",
        {
            "unit/receive/test_endpoint.py": [
                "test_bytes_held_before_verification_are_bounded_for_each_client_and_given_back",
                "test_a_rate_counts_verified_deliveries_only",
            ],
            "unit/receive/test_rejections.py": [
                "test_the_files_are_rotated_and_stay_bounded",
            ],
        },
    ),
    13: Case(
        "stale means strictly older",
        {
            "contract/test_store_contract.py": [
                "test_strictly_older_event_is_stale_and_leaves_no_mark",
            ],
            "integration/test_worker_order.py": [
                "test_an_older_event_of_the_key_is_skipped_and_marked",
                "test_an_event_of_the_same_time_is_not_stale_and_one_without_a_time_runs",
                "test_the_transaction_decides_about_staleness_even_if_the_handler_swallows_its_word",
            ],
            "unit/api/test_router.py": [
                "test_a_guard_by_time_needs_sources_that_tell_it",
            ],
        },
    ),
    14: Case(
        "a suspected replay is flagged, or refused",
        {
            "unit/receive/test_endpoint.py": [
                "test_an_old_body_under_a_new_unsigned_id_is_flagged_and_stored",
                "test_an_old_body_under_a_new_unsigned_id_is_refused_where_the_source_says_so",
            ],
            "unit/core/test_identity.py": [
                "test_a_type_from_an_unsigned_header_says_so",
            ],
        },
    ),
    15: Case(
        "batches",
        {
            "unit/receive/test_endpoint.py": [
                "test_a_batch_is_one_append_and_the_same_id_twice_joins_the_first",
                "test_a_batch_of_which_one_fails_is_not_acknowledged",
                "test_an_empty_batch_is_accepted_with_nothing_stored",
            ],
            "unit/core/test_batches.py": [
                "test_a_batch_of_as_many_as_allowed_is_admitted_and_one_more_refused",
            ],
            "contract/test_log_contract.py": [
                "test_an_append_over_the_budget_of_events_is_refused_whole",
            ],
        },
    ),
    16: Case(
        "the dedupe feed of Kafka",
        {
            "integration/test_kafka_dedupe.py": [
                "test_what_one_edge_stored_is_a_duplicate_at_another",
                "test_a_restarted_edge_knows_what_was_stored_in_the_last_minutes",
                "test_what_is_not_yet_acknowledged_is_not_told",
                "test_a_warm_start_that_takes_too_long_is_cut_short_and_what_comes_then_is_learned",
            ],
            "faults/test_kafka_edges.py": [
                "test_a_hundred_copies_over_three_edges_at_once_are_all_acknowledged_and_have_one_effect",
            ],
        },
    ),
    17: Case(
        "the spool before Kafka",
        {
            "integration/test_spool.py": [
                "test_a_log_that_does_not_answer_in_time_is_overtaken_by_the_spool",
                "test_a_lane_with_spooled_events_takes_no_direct_appends_until_they_are_relayed",
                "test_what_an_earlier_process_left_is_relayed_before_any_keyed_event_goes_direct",
            ],
            "faults/test_kafka_edges.py": [
                "test_a_spool_carries_deliveries_through_an_outage_and_gives_them_back_in_order",
                "test_what_an_edge_that_is_no_more_left_in_its_spool_is_relayed",
            ],
        },
    ),
    18: Case(
        "durable retries on Kafka (in Postgres: docs/decisions/0005-retries-in-postgres.md)",
        {
            "faults/test_kafka_operations.py": [
                "test_a_key_stays_behind_its_parked_event_wherever_its_partition_goes",
            ],
            "contract/test_parking_contract.py": [
                "test_due_pairs_come_in_order_of_time_up_to_the_limit",
                "test_held_pairs_come_one_after_another_in_order_of_position",
                "test_retried_dead_letter_is_due_at_once_as_if_never_run",
            ],
            "integration/test_kafka_worker.py": [
                "test_an_unreadable_record_becomes_a_dead_letter_and_holds_up_nothing",
            ],
        },
    ),
    19: Case(
        "the clock",
        {
            "unit/keep/test_expiry.py": [
                "test_a_jump_forward_does_not_carry_it_along",
                "test_a_jump_back_stops_it_and_the_return_starts_it_again",
            ],
            "faults/test_disk.py": [
                "test_a_clock_that_jumps_makes_the_log_forget_no_id",
            ],
            "contract/test_store_contract.py": [
                "test_clock_that_jumps_expires_nothing_more_than_time_passed",
            ],
        },
    ),
    20: Case(
        "throughput towards what handlers call",
        {
            "integration/test_worker_limits.py": [
                "test_concurrency_of_a_handler_is_never_exceeded_and_its_neighbour_is_not_bound_by_it",
                "test_a_rate_delays_runs_and_loses_none",
            ],
            "integration/test_worker_life.py": [
                "test_twenty_dead_letters_in_a_row_pause_the_router_and_the_rest_waits",
            ],
        },
    ),
}
